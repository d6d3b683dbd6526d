"""Schedules: shapes, limits and the phases of the infinite learning rate."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omnipatch.core.blocks.registry import build
from omnipatch.core.blocks.schedules import schedule
from omnipatch.core.errors import InputError

INFINITE = {
    "name": "infinite",
    "peak": 1.0,
    "constant": 0.4,
    "final": 0.01,
    "warmup": 0.1,
    "cooldown": 0.2,
    "anneal": 0.3,
}


def test_a_number_a_mapping_and_a_function_are_schedules():
    assert schedule(0.3)(5, 10) == 0.3
    assert schedule({"name": "linear", "start": 0.0, "end": 1.0})(5, 10) == 0.5
    assert schedule(lambda step, total: step / total)(5, 10) == 0.5


@pytest.mark.parametrize("name", ["linear", "cosine"])
@given(total=st.integers(1, 1000), start=st.floats(0, 1), end=st.floats(0, 1))
def test_ramps_start_end_stay_and_are_monotone(name, total, start, end):
    f = build("schedule", {"name": name, "start": start, "end": end})
    assert f(0, total) == pytest.approx(start, abs=1e-9)
    assert f(total, total) == f(10 * total, total) == pytest.approx(end, abs=1e-9)
    steps = [f(i, total) * (1 if end >= start else -1) for i in range(0, total + 1, max(1, total // 20))]
    assert all(b >= a - 1e-9 for a, b in pairwise(steps))


def test_cosine_is_half_way_in_the_middle():
    assert schedule({"name": "cosine", "start": 0.99, "end": 1.0})(50, 100) == pytest.approx(0.995)


def test_warmup_cosine_rises_to_the_peak_and_falls_to_its_share():
    f = build("schedule", {"name": "warmup_cosine", "peak": 2.0, "warmup": 0.1, "final": 0.01})
    assert [f(i, 100) for i in range(10)] == pytest.approx([0.2 * (i + 1) for i in range(10)])
    assert f(10, 100) == pytest.approx(2.0)
    assert f(55, 100) == pytest.approx(0.02 + 1.98 / 2)
    assert f(100, 100) == f(500, 100) == pytest.approx(0.02)


@given(total=st.integers(1, 500), step=st.integers(0, 600), warmup=st.floats(0, 1))
def test_warmup_cosine_is_positive_and_bounded(total, step, warmup):
    rate = build("schedule", {"name": "warmup_cosine", "peak": 1.0, "warmup": warmup})(step, total)
    assert 0 < rate <= 1.0


def test_infinite_has_four_phases():
    f = build("schedule", INFINITE)
    assert [f(i, 100) for i in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])
    assert f(10, 100) == pytest.approx(1.0)
    assert f(20, 100) == pytest.approx(0.7)
    assert {f(i, 100) for i in range(30, 70)} == {0.4}
    assert f(85, 100) == pytest.approx(math.sqrt(0.4 * 0.01))  # exponential: the geometric mean half way
    assert f(100, 100) == f(900, 100) == pytest.approx(0.01)


def test_infinite_does_not_depend_on_the_length_before_its_end():
    """New data goes on at the constant rate: phases before annealing meet in value, whatever the run's length."""
    f = build("schedule", {**INFINITE, "anneal": 0.0})
    assert f(99, 100) == f(999, 1000) == 0.4


@pytest.mark.parametrize(
    ("change", "words"),
    [({"final": 0.6}, "final <= constant"), ({"anneal": 0.8}, "more than 1"), ({"peek": 1.0}, "did you mean 'peak'")],
)
def test_bad_options_are_one_sentence(change, words):
    with pytest.raises(InputError, match=words):
        build("schedule", {**INFINITE, **change})
