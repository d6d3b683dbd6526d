"""Views in which another window is heard: how loud, where, whose, and that nothing else depends on it."""

from __future__ import annotations

import pytest
import torch
from blocks_kit import batch, objective
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.batching import pad
from omnipatch.core.blocks.mixing import LogPowerMix
from omnipatch.core.blocks.power import add_power, mean_power
from omnipatch.core.errors import InputError
from omnipatch.core.rng import RowRandom


def mixer(made=None, **options):
    made = batch(16) if made is None else made
    mix = LogPowerMix(**{"share": 1.0, "spread": 4.0, **options})
    mix.prepare(lambda: iter([made.rows([i]) for i in range(len(made))]))
    return mix


def mixed(mix, made, step=0):
    return mix(made, RowRandom(0, step, made.window))


def touched(made, view):
    """[row, patch] bool."""
    return (made.values != view.values).any(dim=-1)


def test_two_equal_powers_are_twice_one():
    x = torch.randn(5)
    torch.testing.assert_close(4 * (add_power(x, x, 4.0) - x), torch.full((5,), 2.0).log())


def test_nothing_is_added_by_what_is_missing_and_nothing_heard_where_it_is():
    x, other = torch.tensor([1.0, torch.nan]), torch.tensor([torch.nan, 1.0])
    torch.testing.assert_close(add_power(x, other, 1.0), x, equal_nan=True)


def test_mean_power():
    power = torch.tensor([[1.0, 3.0, 100.0]])
    known = torch.tensor([[True, True, False]])
    torch.testing.assert_close(mean_power(power.log() / 4, known, 4.0), torch.tensor([2.0]).log() / 4)
    assert mean_power(power, known & False, 4.0) == -torch.inf


@pytest.mark.parametrize("snr_db", [-10.0, 0.0, 10.0])
def test_the_ratio_of_powers_is_the_one_that_is_asked_for(snr_db):
    level = torch.randn(16, 1, 1)
    made = batch(16)
    made = made.replace(values=level.expand_as(made.values).contiguous())  # steady, each of its own loudness
    view = mixed(mixer(made, snr_db=(snr_db, snr_db)), made)
    gain = (4.0 * (view.values - made.values))[touched(made, view)]
    torch.testing.assert_close(gain, torch.full_like(gain, 1 + 10 ** (-snr_db / 10)).log(), atol=1e-4, rtol=0)


def test_a_stretch_of_some_rows_is_mixed_and_the_share_is_kept():
    made = batch(400)
    view = mixed(mixer(batch(16), share=0.3, most=0.5), made)
    where = touched(made, view)
    assert 0.2 < where.any(dim=1).float().mean() < 0.4
    assert where.sum(dim=1).max() <= 6
    edges = torch.nn.functional.pad(where.int(), (1, 1)).diff(dim=1).ne(0).sum(dim=1)
    assert set(edges.tolist()) <= {0, 2}
    assert where.any(dim=0).all()


def test_nobody_is_mixed_with_oneself():
    made = batch(2)
    mix = mixer(made)
    for step in range(20):
        pick = mix.others(made.window, RowRandom(0, step, made.window))
        assert (mix.windows[pick] != made.window).all()
    alone = made.rows([0])
    assert torch.equal(mixed(mixer(alone), alone).values, alone.values)


@given(st.integers(0, 50), st.integers(0, 6))
@settings(max_examples=25, deadline=None)
def test_a_view_is_of_the_window_alone(step, extra):
    valid = torch.rand(6, 12, generator=torch.Generator().manual_seed(step)) < 0.8
    made = batch(6, valid=valid)
    mix = mixer(batch(16, seed=1))
    together = mixed(mix, made, step)
    part, wide = made.rows([4, 1]), pad(made, 12 + extra)
    torch.testing.assert_close(mixed(mix, part, step).values, together.values[[4, 1]], equal_nan=True)
    torch.testing.assert_close(mixed(mix, wide, step).values[:, :12], together.values, equal_nan=True)
    assert torch.equal(together.valid, made.valid)
    assert torch.equal(together.values.isnan(), made.values.isnan())


def test_a_bank_is_spread_over_all_windows():
    mix = mixer(batch(16), bank=4)
    assert (mix.windows - 100).tolist() == [0, 5, 10, 15]


MIX = {"name": "log_power", "share": 1.0, "spread": 4.0, "snr_db": [-5.0, 0.0]}
NOISY = {
    "name": "mae",
    "views": {"context": {"mix": MIX}, "clean": {}},
    "terms": {"reconstruction": {"view": "clean", "site": "all"}},
}


def prepared(options):
    made = objective(options)
    made.prepare(lambda: iter([batch(6)]))
    return made


def test_the_context_is_mixed_and_the_target_is_clean(monkeypatch):
    made = prepared(NOISY)
    seen, asked = [], []
    encode, look = made.encoder.encode, made.targets["signal"].forward
    monkeypatch.setattr(made.encoder, "encode", lambda part, *rest: seen.append((part, rest[0])) or encode(part, *rest))
    monkeypatch.setattr(made.targets["signal"], "forward", lambda request: asked.append(request) or look(request))
    made(batch(6), 0, 0).loss.backward()
    (part, index), (request,) = seen[0], asked
    assert not torch.equal(part.values, batch(6).patches(index).values)
    assert torch.equal(request.source().values, batch(6).values)


def test_faults_are_one_sentence():
    with pytest.raises(InputError, match=r"objective\.views\.context\.mix\.shar"):
        objective({"name": "mae", "views": {"context": {"mix": {"name": "log_power", "shar": 1.0}}}})
    with pytest.raises(InputError, match="need 0 <= share <= 1"):
        objective({"name": "mae", "views": {"context": {"mix": {"name": "log_power", "share": 2.0}}}})
    with pytest.raises(RuntimeError, match="prepare"):
        objective(NOISY)(batch(6), 0, 0)
