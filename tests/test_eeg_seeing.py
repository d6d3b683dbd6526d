"""EEG seen: names of places, the flat scalp, what is gone without a band, maps with MNE and without."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from eeg_kit import RATE_HZ, SITES, places, window
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.batching import collate
from omnipatch.core.report.look import new_figure, style
from omnipatch.core.seeing import Seeing
from omnipatch.modalities.eeg import EEG
from omnipatch.modalities.eeg.bands import NAMED_HZ
from omnipatch.modalities.eeg.modality import EEGConfig
from omnipatch.modalities.eeg.seeing import flattened
from omnipatch.modalities.eeg.sites import SITES_10_20

NAMES = [f"{name}, {low:.0f}–{high:.0f} Hz" for name, (low, high) in NAMED_HZ.items()]


def eeg(**options) -> EEG:
    return EEG(EEGConfig(sfreq_hz=RATE_HZ, **options))


def batch(modality: EEG, rows: int = 3):
    return collate([modality.patchify(window(seed=seed)) for seed in range(rows)])


def where(names=SITES_10_20) -> np.ndarray:
    """[place, axis] of electrodes, with a time before their place."""
    return np.concatenate([np.full((len(names), 1), 2.5), places(names)], axis=1)


def sine(hz: float, modality: EEG):
    """A window in which every electrode shows one frequency."""
    t = np.arange(500) / RATE_HZ
    wave = np.tile(np.sin(2 * np.pi * hz * t), (len(SITES_10_20), 1)).astype(np.float32)
    return modality.patchify(replace(window(), values=wave))


class TestPlaces:
    @settings(deadline=None, max_examples=30)
    @given(st.lists(st.sampled_from(SITES), min_size=1, max_size=20, unique=True))
    def test_a_site_has_its_own_name(self, names):
        assert eeg().seeing().place_names(where(names)) == names

    def test_tokens_of_electrodes_have_the_names_of_the_electrodes(self):
        one = batch(eeg(), 1)
        names = eeg().seeing().place_names(one.coords[0].numpy())
        assert set(names) == set(SITES_10_20)
        for group in one.group[0].unique():
            assert len({name for name, own in zip(names, one.group[0] == group, strict=True) if own}) == 1

    def test_between_sites_the_nearest_common_one_is_named(self):
        between = places(["F3", "F7"]).mean(axis=0)
        [name] = eeg().seeing().place_names(np.r_[0.0, between / np.linalg.norm(between)][None])
        assert name == "F5"

    def test_the_published_grid_has_rows_of_a_list_and_no_places(self):
        grid = eeg(layout="grid", window_s=5.0)
        assert type(grid.seeing()) is Seeing

    def test_the_scalp_lies_flat_nose_up(self):
        flat = dict(zip(SITES_10_20, flattened(places()), strict=True))
        assert np.abs(flat["Cz"]).max() < 1e-6
        assert flat["Fz"][1] > 0 > flat["Pz"][1]
        assert flat["T7"][0] < 0 < flat["T8"][0]
        for name, xyz in zip(SITES_10_20, places(), strict=True):  # as far as along the scalp
            assert np.hypot(*flat[name]) == pytest.approx(np.arccos(xyz[2]) / (np.pi / 2), abs=1e-6)


class TestWithoutBands:
    @pytest.mark.parametrize(
        "options",
        [{"content": ("spectrum",)}, {"content": ("spectrum",), "band_groups": 8}, {"content": ("wave",)},
         {"layout": "tubelet"}, {"content": ("wave", "spectrum", "covariance")},
         {"content": ("profile",)}, {"content": ("profile",), "layout": "tubelet"}],
    )  # fmt: skip
    def test_only_values_change_and_what_was_missing_stays_missing(self, options):
        modality = eeg(**options)
        whole = batch(modality)
        for changed in modality.seeing().without_parts(whole).values():
            for name in ("valid", "coords", "kind", "group"):
                assert torch.equal(getattr(changed, name), getattr(whole, name))
            assert torch.equal(changed.values.isnan(), whole.values.isnan())
            assert not torch.equal(changed.values.nan_to_num(), whole.values.nan_to_num())

    @pytest.mark.parametrize(
        "options", [{"content": ("spectrum",)}, {"content": ("spectrum",), "band_groups": 8}, {"content": ("profile",)}]
    )
    def test_the_bands_share_out_all_columns(self, options):
        modality = eeg(**options)
        whole = batch(modality)
        changed = [w.values != whole.values for w in modality.seeing().without_parts(whole).values()]
        assert (torch.stack(changed).sum(dim=0) == 1).all()

    def test_a_band_of_a_spectrum_says_the_same_in_every_window(self):
        modality = eeg(content=("spectrum",))
        without = modality.seeing().without_parts(batch(modality, 4))["alpha, 8–13 Hz"].values
        assert (without[:, :, 7:12].std(dim=0) < 1e-5).all()
        assert (without[:, :, :7].std(dim=0) > 1e-3).all()

    @pytest.mark.parametrize(("hz", "gone"), [(2.0, "delta"), (6.0, "theta"), (10.0, "alpha"), (20.0, "beta")])
    @pytest.mark.parametrize("layout", ["electrode", "tubelet"])
    def test_a_wave_is_gone_without_its_own_band_only(self, hz, gone, layout):
        modality = eeg(content=("wave",), layout=layout)
        whole = sine(hz, modality)
        power = whole.values.nan_to_num().square().mean()
        left = {name: w.values.nan_to_num().square().mean() / power
                for name, w in modality.seeing().without_parts(whole).items()}  # fmt: skip
        assert [name for name, share in left.items() if share < 0.5] == [n for n in NAMES if n.startswith(gone)]
        assert min(left.values()) < 0.01

    def test_an_invalid_token_has_no_say_in_the_others(self):
        modality = eeg(content=("wave",))
        whole = batch(modality, 1)
        valid, values = whole.valid.clone(), whole.values.clone()
        valid[0, 3] = False
        values[0, 3] = 1e6
        parts = [modality.seeing().without_parts(b)["alpha, 8–13 Hz"].values[valid]
                 for b in (whole.replace(valid=valid), whole.replace(valid=valid, values=values))]  # fmt: skip
        assert torch.equal(*parts)


class TestValueAxis:
    def test_numbers_of_a_spectrum_are_hertz_and_of_a_wave_seconds(self):
        hertz, unit = eeg(content=("spectrum",)).seeing().value_axis(0)
        assert unit == "Hz"
        assert (len(hertz), hertz[0] < 2 < hertz[1]) == (32, True)
        seconds, unit = eeg(content=("wave",), patch_s=0.5).seeing().value_axis(0)
        assert unit == "seconds"
        assert (len(seconds), seconds[-1]) == (50, pytest.approx(0.495))

    def test_where_bands_are_divided_a_number_has_no_one_frequency(self):
        assert eeg(content=("spectrum",), band_groups=4).seeing().value_axis(0)[1] == ""

    def test_of_a_profile_the_spectrum_is_what_is_drawn(self):
        modality = eeg(content=("profile",))
        hertz, unit = modality.seeing().value_axis(0)
        assert (len(hertz), unit) == (32, "Hz")
        assert modality.spec.patch_size > 32


class TestMaps:
    def drawn(self, names=SITES_10_20, values=None):
        from matplotlib import colormaps

        values = np.arange(len(names)) - 1.0 if values is None else values
        with style():
            axes = new_figure(3, 3).add_subplot()
            return eeg().seeing().draw_places(axes, where(names), values, 2.0, colormaps["RdBu"]), axes

    def test_a_map_names_its_electrodes_and_keeps_the_scale(self):
        pytest.importorskip("mne")
        done, axes = self.drawn()
        assert done
        assert {text.get_text() for text in axes.texts} == set(SITES_10_20)
        assert axes.images[0].get_clim() == (-2.0, 2.0)

    def test_the_map_is_high_where_the_value_is(self):
        """Interpolated values at the height of O1 and of Fp1, of a map where the back of the head is high."""
        pytest.importorskip("mne")
        _, axes = self.drawn(values=-places()[:, 1])
        image = axes.images[0]
        rows = np.ma.filled(image.get_array(), np.nan)
        bottom, top = image.get_extent()[2:]
        height = np.linspace(bottom, top, len(rows))
        middle = np.nanmean(rows[:, rows.shape[1] // 3 : -rows.shape[1] // 3], axis=1)
        assert middle[np.abs(height + 0.7).argmin()] > 0.3 > -0.3 > middle[np.abs(height - 0.7).argmin()]

    def test_names_of_a_dense_cap_are_left_out(self):
        pytest.importorskip("mne")
        _, axes = self.drawn([name for name in SITES if not name.endswith("h")][:64])
        assert not axes.texts

    def test_few_electrodes_make_no_map(self):
        assert not self.drawn(("Cz", "Pz", "Fz"))[0]

    def test_without_mne_there_is_no_map(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "mne.viz", None)
        assert not self.drawn()[0]
