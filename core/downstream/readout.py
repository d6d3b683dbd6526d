"""Readout: how the tokens of a window become one vector an item, without parameters.

- An event (or a step of a dense task) is read at its own place plus each of the task's offsets, by linear interpolation
  between the nearest tokens before and after along the first axis. Tokens at the same place (one a lead) are averaged.
- A window (or record) is the mean over its valid tokens, with their standard deviation beside it on request.
- Or it is read place by place (an electrode, a lead, a joint): the mean over the tokens at each of a few fixed places
  on the further axes, side by side. What tells classes apart is often where, and a mean over places forgets that. At a
  place without a token of its own the nearest one is read, so any set of sensors gives a vector of the same length.

Everything is a weighting over valid tokens that depends on coordinates only. So padding and the order of tokens do not
matter, spacing may be irregular, and beyond the first or last token the nearest one is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor

from ..blocks.encoder import Encoded, masked_mean
from ..modality import Task

# a token this part of a step farther than the nearest one still counts in what is read at a place
_SHARPNESS = 0.2

Places = Sequence[Sequence[float]]


def interpolation_weights(valid: Tensor, place: Tensor, at: Tensor) -> Tensor:
    """[row, query, patch] float32 weights that interpolate tokens at `at`; each query sums to 1.

    valid: [row, patch] bool. place: [row, patch] coordinate of each token. at: [row, query] in the same unit.
    A row without valid tokens gets weights of 0.
    """
    gap = place.unsqueeze(1) - at.unsqueeze(2)
    usable = valid.unsqueeze(1)
    before = gap.masked_fill(~(usable & (gap <= 0)), -torch.inf)
    after = gap.masked_fill(~(usable & (gap >= 0)), torch.inf)
    low, high = before.amax(dim=2, keepdim=True), after.amin(dim=2, keepdim=True)
    share = (-low / (high - low)).nan_to_num(nan=0.0)  # of the later token; 0/0 when a token lies exactly here
    share = torch.where(low.isinf(), 1.0, share)
    share = torch.where(high.isinf(), 0.0, share)
    return (1.0 - share) * _even(before == low, usable) + share * _even(after == high, usable)


def _even(nearest: Tensor, usable: Tensor) -> Tensor:
    """Equal weights over the nearest tokens (several leads share a place)."""
    chosen = (nearest & usable).float()
    return chosen / chosen.sum(dim=2, keepdim=True).clamp(min=1.0)


def masked_std(tokens: Tensor, valid: Tensor, mean: Tensor) -> Tensor:
    """[row, patch, width] -> [row, width] standard deviation over valid patches in float32."""
    return masked_mean((tokens.float() - mean.unsqueeze(1)).square(), valid).clamp(min=1e-12).sqrt()


def place_weights(valid: Tensor, coords: Tensor, places: Tensor, scales: Tensor) -> Tensor:
    """[row, place, patch] float32 weights of the tokens at each place; each place sums to 1.

    valid: [row, patch] bool. coords: [row, patch, axis]. places: [place, axis]. scales: [axis] one step on each axis.
    Tokens within a small part of a step from the nearest one count as much as that, those a step away nothing.
    """
    squared = torch.cdist(coords / scales, (places / scales).expand(len(coords), -1, -1)).square()
    near = rearrange(-0.5 * squared / _SHARPNESS**2, "r p a -> r a p")
    # finite, so that a row without any valid token stays finite; its tokens are zero
    return near.masked_fill(~valid.unsqueeze(1), torch.finfo(near.dtype).min).softmax(dim=-1)


@dataclass(frozen=True)
class Readout:
    """Tokens to item vectors under one task.

    offsets: places around an event, in the unit of the first axis; empty = the item is the whole window.
    spread: give the standard deviation beside the mean, of each place where there are any (whole windows only).
    places: [place][axis] where to read on the axes after the first (whole windows only); empty = all tokens together.
    scales: [axis] what looks like one step on these axes.
    normed: read what the encoder's last norm makes of the tokens. Before it their size still tells something: where
        patches are logarithms of power, for instance, a norm forgets how loud a sensor is.
    """

    offsets: tuple[float, ...]
    spread: bool = False
    places: tuple[tuple[float, ...], ...] = ()
    scales: tuple[float, ...] = ()
    normed: bool = True

    @classmethod
    def of(
        cls, task: Task, pool: str = "mean", places: Places = (), scales: Sequence[float] = (), *, normed: bool = True
    ) -> Readout:
        """The readout of a task; `pool`: mean, mean_std, place or place_std (see `anchors` for the places)."""
        if task.unit in ("event", "dense"):
            return cls(task.offsets, normed=normed)
        spread = pool in ("mean_std", "place_std")
        if pool in ("place", "place_std"):
            at = tuple(tuple(map(float, place)) for place in places)
            return cls((), spread, places=at, scales=tuple(scales), normed=normed)
        return cls((), spread, normed=normed)

    def size(self, width: int) -> int:
        """Numbers in one item vector."""
        return width * (len(self.offsets) or max(1, len(self.places)) * (1 + self.spread))

    def __call__(self, tokens: Tensor, valid: Tensor, coords: Tensor, at: Tensor) -> Tensor:
        """[row, patch, width], [row, patch], [row, patch, axis], [row, event] -> [row, event, size] float32."""
        tokens = tokens.float().masked_fill(~valid.unsqueeze(-1), 0.0)
        if self.places:
            at_place = place_weights(
                valid, coords[..., 1:], coords.new_tensor(self.places), coords.new_tensor(self.scales)
            )
            mean = at_place @ tokens
            if self.spread:
                # not by deviations, which would be [row, place, patch, width]; rounding may leave less than nothing
                variance = at_place @ tokens.square() - mean.square()
                mean = torch.cat([mean, variance.clamp(min=1e-12).sqrt()], dim=1)
            return rearrange(mean, "r a w -> r 1 (a w)").expand(-1, at.shape[1], -1)
        if not self.offsets:
            mean = masked_mean(tokens, valid)
            vector = torch.cat([mean, masked_std(tokens, valid, mean)], dim=-1) if self.spread else mean
            return vector.unsqueeze(1).expand(-1, at.shape[1], -1)
        query = at.unsqueeze(2) + at.new_tensor(self.offsets)
        weights = interpolation_weights(valid, coords[..., 0], rearrange(query, "r e o -> r (e o)"))
        return rearrange(weights @ tokens, "r (e o) w -> r e (o w)", o=len(self.offsets))


def last_layers(encoded: Encoded, *, normed: bool = True) -> Tensor:
    """[row, patch, width]: the mean of the kept layers, each normalised to unit variance, or the final tokens.

    normed False: the mean of the kept layers as they are.
    """
    if not normed:
        return torch.stack([layer.float() for layer in encoded.layers]).mean(dim=0)
    if len(encoded.layers) < 2:
        return encoded.tokens
    width = encoded.tokens.shape[-1]
    alike = [torch.nn.functional.layer_norm(layer.float(), (width,)) for layer in encoded.layers]
    return torch.stack(alike).mean(dim=0)
