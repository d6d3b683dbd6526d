"""RowRandom: numbers that belong to (seed, step, window, draw) and to nothing else."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.rng import RowRandom
from scipy import stats

ids = st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=8, unique=True)


def of(rows, seed=0, step=0):
    return RowRandom(seed, step, torch.tensor(rows))


@settings(deadline=None)
@given(ids, st.integers(0, 2**31), st.integers(0, 10**6), st.randoms(use_true_random=False))
def test_a_rows_numbers_do_not_depend_on_the_batch(rows, seed, step, random):
    whole = of(rows, seed, step).uniform(5)
    order = random.sample(range(len(rows)), len(rows))
    assert torch.equal(of([rows[i] for i in order], seed, step).uniform(5), whole[order])
    assert torch.equal(of(rows[:1], seed, step).uniform(5), whole[:1])


def mix(x: int) -> int:
    """MurmurHash3's finaliser on unsigned numbers."""
    x = (x ^ x >> 16) * 0x85EBCA6B % 2**32
    x = (x ^ x >> 13) * 0xC2B2AE35 % 2**32
    return x ^ x >> 16


@settings(deadline=None)
@given(ids, st.integers(0, 2**31), st.integers(0, 10**6))
def test_numbers_are_those_of_a_slow_reference(rows, seed, step):
    """What a seed gave yesterday it gives tomorrow, however the hash is computed."""
    salt = zlib.crc32(f"{seed}:{step}::0".encode())
    for row, found in zip(rows, of(rows, seed, step).uniform(3).tolist(), strict=True):
        own = mix(mix(row % 2**32 ^ salt) ^ row // 2**32 % 2**32)
        for place, value in enumerate(found):
            bits = mix((mix(own ^ mix((place * 0x9E3779B1 + salt) % 2**32)) + own) % 2**32)
            assert value == ((bits >> 9) + 0.5) * 2.0**-23


@settings(deadline=None)
@given(ids)
def test_a_longer_draw_begins_with_the_shorter_one(rows):
    """So padding a batch to more patches changes nothing for the patches that were there."""
    assert torch.equal(of(rows).uniform(9)[:, :4], of(rows).uniform(4))


def test_seed_step_row_name_and_draw_each_matter():
    first = of([1, 2])
    base = first.uniform(64)
    others = [
        first.uniform(64), of([1, 2], seed=1).uniform(64), of([1, 2], step=1).uniform(64), of([3, 4]).uniform(64),
        of([1, 2]).fork("mask").uniform(64), of([1 + 2**32, 2 + 2**32]).uniform(64),
    ]  # fmt: skip
    for other in others:
        assert (base == other).float().mean() < 0.05


def test_a_fork_does_not_depend_on_earlier_draws():
    plain, used = of([5, 6]), of([5, 6])
    used.uniform(3)
    assert torch.equal(plain.fork("view").uniform(3), used.fork("view").uniform(3))
    assert torch.equal(plain.fork("view", torch.tensor([6])).uniform(3), used.fork("view").uniform(3)[1:])


def test_some_of_the_rows_draw_what_they_draw_among_all():
    every = RowRandom(3, 5, torch.arange(6), "name")
    every.uniform(4)  # not the first draw
    index = torch.tensor([4, 0, 3])
    part = every.of_rows(index)
    assert torch.equal(part.normal(7), every.normal(7)[index])


def test_uniform_is_open_even_at_its_extreme_bits(monkeypatch):
    for bits in (0, 2**32 - 1):
        monkeypatch.setattr(RowRandom, "_bits", lambda self, shape, b=bits: torch.full((1, *shape), b))
        value = of([1]).uniform(1)
        assert 0 < float(value) < 1
        assert torch.isfinite(of([1]).normal(1)).all()
        assert 0 <= int(of([1]).integers(0, 7, 1)) < 7


@pytest.mark.parametrize("rows", [np.arange(256), np.arange(256) << 32, np.arange(256) * 1_000_003 + 17])
def test_uniform_over_neighbouring_ids_steps_and_positions(rows):
    draws = torch.stack([of(rows.tolist(), step=step).uniform(32) for step in range(16)]).double()
    flat = draws.flatten().numpy()
    assert stats.kstest(flat, "uniform").pvalue > 1e-3
    for axis in range(3):  # steps, rows and positions next to each other are uncorrelated
        a, b = draws.narrow(axis, 0, draws.shape[axis] - 1), draws.narrow(axis, 1, draws.shape[axis] - 1)
        correlation = float(np.corrcoef(a.flatten().numpy(), b.flatten().numpy())[0, 1])
        assert abs(correlation) < 5 / np.sqrt(flat.size)


def test_other_distributions():
    rng = of(list(range(400)))
    assert stats.kstest(rng.normal(50).flatten().numpy(), "norm").pvalue > 1e-3
    counts = torch.bincount(rng.integers(3, 10, 50).flatten(), minlength=10)
    assert counts[:3].sum() == 0
    assert stats.chisquare(counts[3:].numpy()).pvalue > 1e-3
    signs = rng.sign(50)
    assert set(signs.unique().tolist()) == {-1.0, 1.0}
    assert abs(float(signs.mean())) < 0.05


def test_shapes_and_global_state():
    state = torch.get_rng_state()
    rng = of([1, 2, 3])
    assert rng.uniform().shape == (3,)
    assert rng.uniform(4, 5).shape == (3, 4, 5)
    assert rng.integers(0, 2, 4).dtype == torch.int64
    assert torch.equal(torch.get_rng_state(), state)
