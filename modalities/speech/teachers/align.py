"""A teacher's states at the places of tokens, whatever the two rates.

A token is cut into `ratio` equal parts and each takes the state whose time is nearest to its middle: one part is the
nearest state, at 50 states and 25 tokens a second two parts are both states of a token, and a teacher slower than the
tokens gives neighbours the same state.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .track import Track

_TIE_S = 1e-6  # of two states as near as each other the earlier, however times were rounded


def aligned(track: Track, middle_s: Tensor, token_s: float, ratio: int) -> tuple[Tensor, Tensor]:
    """States [row, patch, ratio, dim], and whether they are known [row, patch, ratio], of tokens with their middle at
    [row, patch] seconds in the recording. A state further away than one frame is unknown."""
    part = (torch.arange(ratio, dtype=torch.float64) + 0.5) / ratio - 0.5
    wanted = middle_s.double().unsqueeze(-1) + part * token_s
    count = len(track.time_s)
    if not count:
        empty = track.states.new_zeros(*wanted.shape, track.states.shape[1])
        return empty, torch.zeros(wanted.shape, dtype=torch.bool)
    after = torch.searchsorted(track.time_s, wanted).clamp(max=count - 1)
    before = (after - 1).clamp(min=0)
    earlier = wanted - track.time_s[before] <= track.time_s[after] - wanted + _TIE_S
    nearest = torch.where(earlier, before, after)
    near = (track.time_s[nearest] - wanted).abs() <= track.frame_s + _TIE_S
    return track.states[nearest], track.known[nearest] & near
