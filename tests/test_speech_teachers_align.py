"""States of a teacher at the places of tokens: exact where the rates divide, the nearest everywhere else."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.modalities.speech.teachers.align import aligned
from omnipatch.modalities.speech.teachers.track import Track


def track(count: int, frame_s: float, first_s: float | None = None) -> Track:
    """States that are their own numbers."""
    time_s = (frame_s / 2 if first_s is None else first_s) + frame_s * torch.arange(count, dtype=torch.float64)
    return Track(torch.arange(count).float().unsqueeze(1), time_s, torch.ones(count, dtype=torch.bool), frame_s)


def middles(count: int, token_s: float, start_s: float = 0.0) -> torch.Tensor:
    return start_s + token_s * (torch.arange(count, dtype=torch.float64) + 0.5)


def test_two_states_a_token_are_both_taken():
    """50 Hz and 25 Hz: concatenation only cuts the teacher's states in twos."""
    states, known = aligned(track(20, 0.02), middles(10, 0.04).unsqueeze(0), 0.04, 2)
    torch.testing.assert_close(states, torch.arange(20.0).view(1, 10, 2, 1))
    assert known.all()


def test_convolutional_states_lie_in_their_token():
    """HuBERT's first state has its middle at 12.5 ms, and the last token of a word has only one."""
    states, known = aligned(track(9, 0.02, 0.0125), middles(5, 0.04).unsqueeze(0), 0.04, 2)
    assert states[0, :, :, 0].tolist() == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 8]]
    assert known.all()


def test_a_slower_teacher_says_the_same_of_neighbours():
    states, known = aligned(track(4, 0.08), middles(8, 0.04).unsqueeze(0), 0.04, 1)
    assert states[0, :, 0, 0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert known.all()


def test_of_two_states_as_near_the_earlier():
    states, _ = aligned(track(6, 0.02), middles(3, 0.04).unsqueeze(0), 0.04, 1)
    assert states[0, :, 0, 0].tolist() == [0, 2, 4]


def test_windows_find_their_place_in_the_recording():
    states, known = aligned(track(100, 0.02), torch.stack([middles(3, 0.04, start) for start in (0.4, 1.2)]), 0.04, 2)
    assert states[:, 0, 0, 0].tolist() == [20, 60]
    assert known.all()


def test_far_from_any_state_and_in_gaps_nothing_is_known():
    heard = track(5, 0.02)
    _, known = aligned(heard, middles(5, 0.04).unsqueeze(0), 0.04, 1)
    assert known[0, :, 0].tolist() == [True, True, True, False, False]
    gap = Track(heard.states, heard.time_s, torch.tensor([True, True, False, True, True]), 0.02)
    _, known = aligned(gap, middles(5, 0.02).unsqueeze(0), 0.02, 1)
    assert known[0, :, 0].tolist() == [True, True, False, True, True]


def test_a_teacher_that_heard_nothing():
    states, known = aligned(track(0, 0.02), middles(3, 0.04).unsqueeze(0), 0.04, 2)
    assert states.shape == (1, 3, 2, 1)
    assert not known.any()


@settings(deadline=None)
@given(
    count=st.integers(1, 40),
    frame_s=st.floats(0.005, 0.2),
    first_s=st.floats(0.0, 0.3),
    token_s=st.floats(0.01, 0.2),
    ratio=st.integers(1, 4),
)
def test_it_is_the_nearest_of_all(count, frame_s, first_s, token_s, ratio):
    heard, middle = track(count, frame_s, first_s), middles(12, token_s).unsqueeze(0)
    states, known = aligned(heard, middle, token_s, ratio)
    wanted = (middle.unsqueeze(-1) - token_s / 2 + token_s * (torch.arange(ratio) + 0.5) / ratio).unsqueeze(-1)
    distance = (heard.time_s - wanted).abs()
    found = distance.gather(-1, states.long())[..., 0]
    assert (found <= distance.amin(dim=-1) + 2e-6).all()
    assert torch.equal(known, found <= frame_s + 1e-6)
