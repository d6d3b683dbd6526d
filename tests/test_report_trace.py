"""Pictures of tokens on their signal: tokens stand where they belong, and a picture shows itself in a notebook."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import torch
from data_kit import Toy, toy_recording
from ecg_kit import patient
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch import InputError
from omnipatch.core.batching import collate
from omnipatch.core.report.lanes import Tokens, _joined, by_state, by_unit, by_weight
from omnipatch.core.report.look import Drawing, new_figure, style, to_svg
from omnipatch.core.report.trace import Note, _owners, excerpts, trace
from omnipatch.core.report.window import ASKED, LEFT_OUT, SEEN, view_states
from omnipatch.core.settings import load
from omnipatch.modalities.ecg import ECG, ECGConfig
from omnipatch.modalities.eeg import EEG
from omnipatch.modalities.eeg.modality import EEGConfig

LEADS = ("limb", "chest")


@pytest.fixture(scope="module")
def ecg():
    return ECG(ECGConfig(leads=("II", "V1"), scales=("patch", "beat", "rhythm")))


@pytest.fixture(scope="module")
def batch(ecg):
    return ecg.patchify(ecg.windows(patient())[0])


@pytest.fixture(scope="module")
def eeg():
    return EEG(EEGConfig(content=("wave",), patch_s=1.0))


@pytest.fixture(scope="module")
def electrodes(eeg):
    return eeg.patchify(eeg.windows(eeg.example(np.random.default_rng(0)))[0])


def shapes(svg: str) -> list[str]:
    """Points of every filled or drawn line of the picture."""
    return re.findall(r'<path d="(M[^"]*)"', svg)


class TestTokens:
    def test_patches_tile_the_window_and_beats_reach_over_their_patches(self, batch):
        tokens = Tokens.of(batch, 0)
        patches = tokens.spans[tokens.kind == 0]
        assert tokens.ends == (0.0, 10.0)
        np.testing.assert_allclose(patches[1:, 0], patches[:-1, 1], atol=1e-4)
        for span, group in zip(tokens.spans[tokens.kind == 1], tokens.group[tokens.kind == 1], strict=True):
            own = patches[tokens.group[tokens.kind == 0] == group]
            assert (span[0], span[1]) == (own[0, 0], own[-1, 1])

    def test_a_beat_lies_over_its_own_r_mark(self, batch):
        tokens = Tokens.of(batch, 0)
        r_s = batch.coords[0, batch.valid[0] & (batch.kind[0] == 1), 0].numpy()
        spans = tokens.spans[tokens.kind == 1]
        assert ((spans[:, 0] <= r_s) & (r_s <= spans[:, 1])).all()

    def test_rhythm_reaches_over_everything(self, batch):
        tokens = Tokens.of(batch, 0)
        assert tokens.spans[tokens.kind == 2].tolist() == [list(tokens.ends)]

    def test_invalid_tokens_are_not_there(self, batch):
        valid = batch.valid.clone()
        valid[0, :7] = False
        assert len(Tokens.of(batch.replace(valid=valid), 0).kind) == len(Tokens.of(batch, 0).kind) - 7

    def test_without_patches_there_is_no_place(self, batch):
        with pytest.raises(InputError, match="no patch stands on the signal"):
            Tokens.of(batch.replace(valid=batch.kind > 0), 0)


class TestSensors:
    """Electrodes have patches of their own."""

    def test_patches_belong_to_the_row_of_their_electrode_and_joint_ones_to_all(self, batch, electrodes):
        assert _owners(electrodes, 0, 19).tolist() == np.repeat(np.arange(19), 5).tolist()
        assert (_owners(batch, 0, 2) == -1).all()

    def test_a_lost_electrode_keeps_its_row_and_padding_has_none(self, eeg, electrodes):
        valid = electrodes.valid.clone()
        valid[0, 10:15] = False  # the third electrode
        shorter = electrodes.patches(torch.arange(40)[None])
        both = collate([electrodes.replace(valid=valid), shorter])
        assert _owners(both, 0, 19).tolist() == np.repeat(np.arange(19), 5).tolist()
        assert _owners(both, 1, 8).tolist() == [*np.repeat(np.arange(8), 5), *[-1] * 55]
        whole, lost = (trace(eeg, b, sensors=("O1",)) for b in (electrodes, both))
        assert shapes(whole) == shapes(lost)

    def test_hiding_one_electrode_shades_its_row_alone(self, eeg, electrodes):
        def shaded(sensor):
            states = np.where(np.arange(95) // 5 == 2, ASKED, SEEN)  # the third electrode in reading order
            return trace(eeg, electrodes, sensors=[sensor], states=states).count("fill: var(--pretrained)")

        names = eeg.seeing().place_names(electrodes.coords[0, ::5].numpy())
        assert shaded(names[2]) == shaded(names[1]) + 1

    def test_rows_are_chosen_by_name(self, eeg, electrodes):
        svg = trace(eeg, electrodes, sensors=("O1", "Fp1"))
        assert [n for n in re.findall(r">(\w+)<", svg) if n in ("O1", "Fp1", "Cz")] == ["O1", "Fp1"]
        signal = eeg.unpatchify(electrodes)[0]
        row = eeg.seeing().place_names(electrodes.coords[0, ::5].numpy()).index("O1")
        assert np.isfinite(signal[row]).all()
        with pytest.raises(InputError, match="no such sensor"):
            trace(eeg, electrodes, sensors=("O11",))


class TestPaint:
    def test_every_token_has_one_colour(self, batch):
        tokens = Tokens.of(batch, 0)
        rng = np.random.default_rng(0)
        weights, states = rng.uniform(size=len(tokens.kind)), rng.integers(0, 3, len(tokens.kind))
        for paints in (by_unit(tokens), by_state(states), by_weight(weights, tokens.kind)):
            assert (sum(paint.tokens.astype(int) for paint in paints) == 1).all()

    def test_a_beat_and_its_patches_have_one_shade_and_its_neighbour_another(self, batch):
        tokens = Tokens.of(batch, 0)
        even, odd = by_unit(tokens)
        beats = tokens.kind == 1
        assert (even.tokens[beats][1:] != even.tokens[beats][:-1]).all()
        for group in tokens.group[beats]:
            assert len(set(odd.tokens[(tokens.group == group) & (tokens.kind < 2)])) == 1

    def test_the_largest_weight_of_each_kind_is_the_strongest(self):
        kind = np.array([0, 0, 0, 1, 1])
        *_, strongest = paints = by_weight(np.array([0.1, 0.4, 0.0, 0.001, 0.002]), kind)
        assert strongest.tokens.tolist() == [False, True, False, False, True]
        assert strongest.alpha == 1.0
        assert paints[0].tokens.tolist() == [False, False, True, False, False]

    def test_all_zero_weights_paint_nothing(self):
        assert by_weight(np.zeros(3), np.array([0, 0, 1]))[0].tokens.all()

    @settings(deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 5)), max_size=8))
    def test_joined_spans_cover_the_same_places_without_overlap(self, parts):
        spans = np.array([[a, a + length] for a, length in parts], float).reshape(-1, 2)
        joined = _joined(spans)
        places = np.arange(0, 30) + 0.5
        inside = [((s[:, :1] < places) & (places < s[:, 1:])).sum(axis=0) for s in (spans, joined)]
        assert ((inside[0] > 0) == (inside[1] == 1)).all()
        assert (joined[1:, 0] > joined[:-1, 1]).all()


class TestStates:
    def test_every_patch_of_a_window_is_seen_asked_or_left_out(self):
        recipe = load("ecg-beats")
        window = recipe.modality.windows(patient(leads=("II", "V1")))[0]
        states = view_states(recipe.recipe.objective, recipe.modality.patchify(window))
        assert set(states) == {"context", "rhythm"}
        kind = recipe.modality.patchify(window).kind[0].numpy()
        for hidden in (0, 1):
            assert {SEEN, ASKED} == set(states["context"][0, kind == hidden])
        assert (states["context"][0, kind == 2] == SEEN).all()
        assert (states["rhythm"][0, kind == 0] == LEFT_OUT).all()
        assert (states["rhythm"][0, kind == 2] == ASKED).all()

    def test_views_without_a_mask_hide_nothing_to_show(self, batch):
        assert view_states({"name": "simclr"}, batch) == {}


class TestTrace:
    def test_it_is_well_formed_and_light(self, ecg, batch):
        svg = trace(ecg, batch, sensors=LEADS, notes=[Note(2.0, "V", 2)])
        ElementTree.fromstring(svg._repr_svg_())
        assert len(svg) < 70_000
        for word in (*LEADS, "patch", "beat", "rhythm", "time, seconds", ">V<"):
            assert word in svg

    def test_states_and_weights_change_the_picture_and_say_what_they_are(self, ecg, batch):
        plain = trace(ecg, batch, sensors=LEADS)
        states = np.where(batch.kind[0] == 0, ASKED, LEFT_OUT)
        assert "to predict" in trace(ecg, batch, states=states, sensors=LEADS)
        weights = (batch.kind[0] == 1).float().numpy()
        shares = re.findall(r">(\d+)%<", trace(ecg, batch, weights=weights, sensors=LEADS))
        assert shares == ["0", "100", "0"]
        assert "%" not in "".join(re.findall(r"<text.*?</text>", plain, flags=re.S))

    def test_any_row_and_unnamed_sensors(self, ecg, batch):
        both = collate([batch, ecg.patchify(ecg.windows(patient(seed=1))[0])])
        assert trace(ecg, both, 1) != trace(ecg, both, 0)
        assert trace(ecg, both, 0) == trace(ecg, batch)

    def test_a_modality_without_an_inverse_is_told_so(self):
        toy = Toy()
        window = toy.windows(toy_recording(np.random.default_rng(0)))[0]
        with pytest.raises(InputError, match="do not give the signal back"):
            trace(toy, toy.patchify(window))

    def test_excerpts_have_a_panel_and_a_title_each(self, ecg, batch):
        four = batch.rows([0, 0, 0, 0])
        svg = excerpts(ecg, four, [1.0, 2.0, 3.0, 9.9], list("abcd"), reach=1.5, sensors=LEADS)
        ElementTree.fromstring(svg._repr_svg_())
        assert [title for title in "abcd" if f">{title}<" in svg] == list("abcd")
        assert svg.count("seconds from the mark") >= 1


class TestDrawing:
    def drawn(self) -> Drawing:
        with style():
            figure = new_figure(3, 2)
            figure.add_subplot().plot([0, 1, 2], [0.1234567, 1, 0])
            return to_svg(figure, "a line")

    def test_in_a_notebook_it_is_a_picture_without_variables(self):
        svg = self.drawn()
        alone = svg._repr_svg_()
        assert "var(" in svg
        assert "var(" not in alone
        root = ElementTree.fromstring(alone)
        assert (root.get("width"), root.get("height")) == ("288", "192")
        assert repr(svg) == "<figure: a line>"

    def test_it_stays_text_for_a_page(self):
        svg = self.drawn()
        assert f"<p>{svg}</p>" == "<p>" + str.__str__(svg) + "</p>"

    def test_places_are_kept_to_a_hundredth_of_a_point(self):
        paths = shapes(self.drawn())
        assert paths
        assert not re.search(r"\.\d{3}", "".join(paths))
        assert torch.tensor([len(p) for p in paths]).min() > 0
