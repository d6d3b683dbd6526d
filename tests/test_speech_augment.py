"""Views of speech: what each of them changes, by how much, and what none may change."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.batching import collate, pad
from omnipatch.core.blocks.power import NEPERS_PER_DB
from omnipatch.core.errors import InputError
from omnipatch.core.rng import RowRandom
from omnipatch.core.testing.checks import all_checks, run_check
from omnipatch.modalities.speech import Speech, SpeechConfig
from omnipatch.modalities.speech.augment import SPREAD, augment_tokens, smooth_curve, with_background
from omnipatch.modalities.speech.augment_warps import between, other_pace, other_tract, warped
from omnipatch.modalities.speech.mel import MelShape
from omnipatch.modalities.speech.tokens import make_tokens, token_spec

SPEC = token_spec(bands=40, frames=4, hop_s=0.01)
SHAPE = MelShape()
DB = NEPERS_PER_DB / SPREAD
HERTZ = SHAPE.edges_hz[1:-1]
NOTHING = {
    "augment_vocal_tract": 1.0, "augment_level_db": 0.0, "augment_equaliser_db": 0.0, "augment_noise_db": 0.0,
    "augment_lost_bands": 0.0, "augment_lost_time": 0.0,
}  # fmt: skip
STRONG = {"augment_vocal_tract": 1.3, "augment_pace": 1.25, "augment_background_db": 0.0}


def batch(rows=64, frames=80, spectrum=None):
    """Noise, or one spectrum [band, frame] in every row."""
    made = [
        np.random.default_rng(i).normal(size=(40, frames)).astype(np.float32) if spectrum is None else spectrum
        for i in range(rows)
    ]
    return collate([make_tokens(x, SPEC) for x in made]).replace(window=torch.arange(rows))


def view(made, step=0, **options):
    config = SpeechConfig(**options)
    return augment_tokens(made, RowRandom(0, step, made.window), config, config)


def numbers(made):
    """[row, n, band, frame]."""
    return made.values.view(*made.valid.shape, *made.spec.patch_shape)


@pytest.mark.parametrize("check", [c.name for c in all_checks().values() if c.theme == "augmentation"])
@pytest.mark.parametrize("token_hz", [50.0, 6.25])
def test_the_contract_holds_at_full_strength(check, token_hz):
    outcome = run_check(Speech(SpeechConfig(token_hz=token_hz, **STRONG)), check)
    assert outcome.state in ("passed", "skipped"), outcome.message


def test_nothing_is_nothing():
    made = batch()
    same = view(made, **NOTHING)
    torch.testing.assert_close(same.values, made.values)
    torch.testing.assert_close(same.valid, made.valid)


@pytest.mark.parametrize(
    ("name", "value"),
    [("vocal_tract", 0.9), ("vocal_tract", 3.0), ("pace", 0.0), ("level_db", -1.0), ("lost_bands", 1.0)],
)
def test_what_cannot_be_is_refused(name, value):
    with pytest.raises(InputError, match=rf"modality\.augment_{name}"):
        SpeechConfig(**{f"augment_{name}": value})


class TestVocalTract:
    def peaks(self, factor, hertz=1500.0, width=0.1):
        """Where a resonance lies after the warp."""
        formant = np.exp(-0.5 * (np.log(HERTZ / hertz) / width) ** 2).astype(np.float32)
        x = torch.from_numpy(np.repeat(formant[:, None], 4, axis=1))[None, None]
        made = other_tract(x, torch.tensor([[factor]]), SHAPE)[0, 0, :, 0].numpy()
        return float(np.exp((np.log(HERTZ) * made**4).sum() / (made**4).sum()))

    @pytest.mark.parametrize("factor", [0.8, 0.9, 1.0, 1.1, 1.25])
    @pytest.mark.parametrize("hertz", [700.0, 1500.0, 2500.0])
    def test_resonances_are_multiplied(self, factor, hertz):
        assert self.peaks(factor, hertz) / self.peaks(1.0, hertz) == pytest.approx(factor, rel=0.03)

    @given(st.floats(0.7, 1.4))
    @settings(max_examples=40, deadline=None)
    def test_the_warp_is_monotone_and_keeps_both_ends(self, factor):
        f = torch.linspace(0, 4000, 401).unsqueeze(0)
        moved = warped(f, torch.tensor([[factor]]), torch.tensor([[4000.0]]))
        assert moved[0, 0] == 0
        torch.testing.assert_close(moved[0, -1], torch.tensor(4000.0))
        assert (moved.diff() > 0).all()
        torch.testing.assert_close(moved[0, :200], factor * f[0, :200])

    def test_the_way_there_and_back(self):
        f, end = torch.linspace(0, 4000, 401).unsqueeze(0), torch.tensor([[4000.0]])
        there = warped(f, torch.tensor([[1.2]]), end)
        torch.testing.assert_close(warped(there, torch.tensor([[1 / 1.2]]), end), f, rtol=1e-4, atol=0.05)

    @pytest.mark.parametrize("factor", [0.8, 1.0, 1.25])
    def test_what_was_not_recorded_stays_unrecorded(self, factor):
        x = torch.randn(3, 5, 40, 4)
        x[0, :, 30:] = torch.nan
        x[1, 2, :, 1] = torch.nan
        made = other_tract(x, torch.full((3, 1), factor), SHAPE)
        assert torch.equal(made.isnan(), x.isnan())

    def test_one_factor_a_row_and_many_over_rows(self):
        ramp = np.repeat(np.log(HERTZ)[:, None], 80, axis=1).astype(np.float32)
        made = numbers(view(batch(rows=200, spectrum=ramp), **{**NOTHING, "augment_vocal_tract": 1.25}))
        torch.testing.assert_close(made[:, 0], made[:, -1])
        factor = (np.log(HERTZ[15]) - made[:, 0, 15, 0]).exp()
        assert 0.79 < factor.min() < 0.84
        assert 1.2 < factor.max() < 1.27
        assert factor.log().mean().abs() < 0.03


class TestPace:
    def at(self, pace, frames=80, rows=1, batch_of=None):
        clock = np.repeat(np.arange(frames, dtype=np.float32)[None], 40, axis=0)
        made = batch(rows=rows, spectrum=clock) if batch_of is None else batch_of
        return other_pace(made, numbers(made), torch.full((len(made), 1), pace))

    def test_faster_is_shorter(self):
        x, valid = self.at(1.25)
        assert valid[0].tolist() == [True] * 16 + [False] * 4
        torch.testing.assert_close(x[0, 0, 7], 1.25 * (torch.arange(4) + 0.5) - 0.5)

    def test_slower_loses_both_ends_alike(self):
        x, valid = self.at(0.8)
        assert valid.all()
        assert x[0, 0, 0, 0] == pytest.approx(8.0, abs=0.5)
        assert x[0, -1, 0, -1] == pytest.approx(71.0, abs=0.5)

    def test_one_is_the_same(self):
        x, valid = self.at(1.0)
        torch.testing.assert_close(x[0, :, 0].flatten(), torch.arange(80.0))
        assert valid.all()

    @given(st.floats(0.7, 1.4), st.integers(1, 9), st.integers(0, 99))
    @settings(max_examples=60, deadline=None)
    def test_nothing_valid_is_invented_and_a_row_keeps_something(self, pace, tokens, seed):
        made = batch(rows=2, frames=4 * tokens)
        valid = torch.rand(2, tokens, generator=torch.Generator().manual_seed(seed)) < 0.7
        valid[:, 0] = True
        made = made.replace(valid=valid)
        x = numbers(made).masked_fill(~valid[..., None, None], torch.nan)
        x, left = other_pace(made, x, torch.full((2, 1), pace))
        assert not (left & ~valid).any()
        assert left.any(dim=1).all()
        assert (x.isfinite().any(dim=2).float().mean(dim=-1) >= 0.5)[left].all()

    def test_order_on_the_patch_axis_does_not_matter(self):
        made = batch(rows=2)
        turned = torch.randperm(20, generator=torch.Generator().manual_seed(0))
        x, valid = self.at(1.2, batch_of=made)
        y, turned_valid = self.at(1.2, batch_of=made.patches(turned.expand(2, -1)))
        torch.testing.assert_close(y, x[:, turned], equal_nan=True)
        assert torch.equal(turned_valid, valid[:, turned])


def test_between_is_linear_and_holds_the_ends():
    x = torch.tensor([[0.0, 1.0, 4.0]])
    place = torch.tensor([[-1.0, 0.5, 1.0, 1.25, 9.0, torch.nan]])
    want = torch.tensor([[0.0, 0.5, 1.0, 1.75, 4.0, torch.nan]])
    torch.testing.assert_close(between(x, place), want, equal_nan=True)


def test_a_background_fills_the_quiet_and_leaves_the_loud():
    x = torch.full((400, 4, 40, 4), -60.0 * DB)
    x[:, :2] = 0.0
    made = with_background(x, 10.0, RowRandom(0, 0, torch.arange(400)))
    assert (made[:, :2] - x[:, :2]).mean() < 2.0 * DB
    # loud frames are half of all, so their mean lies 3 dB above the row's
    raised = (made[:, 2:].mean(dim=(1, 2, 3)) / DB).sort().values
    assert -48 < raised[20] < -35
    assert -22 < raised[-20] < -5


def test_the_equaliser_is_smooth_and_of_the_size_that_is_asked_for():
    curves = smooth_curve(40, RowRandom(0, 0, torch.arange(2000)))
    assert curves.mean(dim=1).abs().max() < 1e-5
    assert curves.square().mean().sqrt() == pytest.approx(1.0, abs=0.05)
    assert curves.diff(dim=1).abs().mean() < 0.12
    changed = view(batch(rows=500), **{**NOTHING, "augment_equaliser_db": 6.0})
    difference = numbers(changed) - numbers(batch(rows=500))
    assert difference.square().mean().sqrt() == pytest.approx(6.0 * DB, rel=0.1)
    torch.testing.assert_close(difference[:, 0, :, 0], difference[:, 9, :, 3], atol=1e-5, rtol=0)


class TestLosses:
    def test_most_is_kept(self):
        changed = view(batch())
        tokens = changed.valid.float().mean(dim=1)
        assert 0.8 <= tokens.min() < 0.9 < tokens.max()
        assert 0.85 < changed.values[changed.valid].isfinite().float().mean() < 0.99

    def test_lost_tokens_are_one_stretch(self):
        changed = view(batch())
        changes = (changed.valid != changed.valid.roll(1, dims=1)).sum(dim=1)
        assert set(changes.tolist()) <= {0, 2}

    def test_order_of_time_is_kept(self):
        made = batch()
        torch.testing.assert_close(view(made, **STRONG).coords, made.coords)

    def test_a_token_of_few_bands_is_never_emptied(self):
        made = batch()
        values = numbers(made).clone()
        values[:, :, :39] = torch.nan
        changed = view(made.replace(values=values.flatten(2)), **STRONG)
        assert changed.values[changed.valid].isfinite().any(dim=-1).all()


def test_padding_and_what_stands_under_it_change_nothing():
    made = batch(rows=4)
    wide = pad(made, 25)
    wide = wide.replace(values=wide.values.masked_fill(~wide.valid.unsqueeze(-1), torch.nan))
    plain, padded = view(made, **STRONG), view(wide, **STRONG)
    torch.testing.assert_close(padded.values[:, :20], plain.values, equal_nan=True)
    assert torch.equal(padded.valid[:, :20], plain.valid)
