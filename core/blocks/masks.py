"""Mask samplers: which patches are hidden and predicted.

All samplers are one algorithm. A patch belongs to a *cell* (itself; a span of time; a box in coordinate space; a
structural group), each cell draws a priority, and patches are hidden in order of their cell's priority until exactly
the wanted share of the row's valid patches is reached. What is surplus in the last cell is kept at random.

Why this way
- The reference block samplers cut every row to the batch's smallest count *in raster order*, so the end of the grid
  is hardly ever seen (ijepa issue 60). Here counts are exact for each row and ties break at random.
- Spans and boxes are laid on a torus with a random origin, so every position on a regular grid is hidden equally often
  (tests/test_blocks_masks.py holds this with a chi-square test).
- Draws are vectorised over the batch and depend on the window only, never on padding or batch position.
- A row with one valid patch hides nothing; a longer one hides at least one patch and keeps at least one.
- Where a sequence holds several kinds of patches (time patches, beats, rhythm), each kind may have a role of its own:
  the sampler chooses among the kinds without a role, so "all beats from half of the patches" is an option, not code.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError, nearest
from ..rng import RowRandom
from ..sequence import PatchSequence
from .registry import register
from .roles import KindRoles
from .views import IndexSet, View, patch_uniform, repeat_rows


class MaskSampler:
    """Base: subclasses say which cell each patch belongs to, and hand these options on as `**common`.

    ratio: share of the valid patches that is hidden, or [low, high] drawn uniformly for each step.
    repeats: masks drawn for each window; they share one target pass.
    disjoint: the masks of one window hide different patches where ratio * repeats <= 1, all of them at 1 (DMJD, Ma et
        al. 2022, https://arxiv.org/abs/2212.10413).
    predict: share of a mask's hidden patches that is predicted, drawn at random; the others are neither seen nor asked
        for, which costs a predictor or decoder nothing (CrossMAE, Fu et al. 2024, https://arxiv.org/abs/2401.14391).
    kinds: {kind: role} of patches that are not sampled: "visible", "hidden" (predicted), "dropped" (neither). Kinds
        that tell of a row's surroundings (`SequenceSpec.kind_columns`) are visible unless they are named.
    """

    def __init__(
        self,
        *,
        ratio: float | tuple[float, float] = 0.6,
        repeats: int = 1,
        disjoint: bool = False,
        predict: float = 1.0,
        kinds: dict[str, str] | None = None,
    ) -> None:
        low, high = (ratio, ratio) if isinstance(ratio, int | float) else ratio
        if not 0 < low <= high < 1:
            raise ValueError(f"mask ratio must lie between 0 and 1, got {ratio}")
        if repeats < 1:
            raise ValueError(f"repeats must be at least 1, got {repeats}")
        if not 0 < predict <= 1:
            raise ValueError(f"predict is a share above 0 and up to 1, got {predict}")
        self.low, self.high, self.repeats, self.disjoint = float(low), float(high), repeats, disjoint
        self.predict = float(predict)
        self.roles = KindRoles(kinds or {})

    @abstractmethod
    def cells(self, batch: PatchSequence, rng: RowRandom) -> Tensor:
        """[row, patch] int64 in [0, patches): patches with equal numbers are hidden together."""

    def __call__(self, batch: PatchSequence, rng: RowRandom) -> View:
        roles = self.roles.within(batch.spec)
        sampled = batch if roles is None else roles.sampled(batch)
        share = self._share(rng)
        views = []
        order = self._order(sampled, rng.fork("0"))
        for i in range(self.repeats):
            if i and not self.disjoint:
                order = self._order(sampled, rng.fork(str(i)))
            visible, hidden = _split(order, sampled.lengths, share, turn=i if self.disjoint else 0)
            asked = hidden if self.predict == 1.0 else _thin(hidden, self.predict, rng.fork(f"predict/{i}"))
            views.append((visible, asked))
        if roles is not None:
            views = [roles.complete(batch, *view) for view in views]
        visible, targets = (_stack([v[side] for v in views]) for side in (0, 1))
        return View(batch, repeat_rows(batch, self.repeats), visible, targets)

    def _share(self, rng: RowRandom) -> float:
        if self.low == self.high:
            return self.low
        # one draw a step for the whole batch (every rank alike), so that rows stay rectangular
        step = RowRandom(rng.seed, rng.step, torch.zeros(1, dtype=torch.long), f"{rng.stream}/ratio")
        return self.low + (self.high - self.low) * float(step.uniform(1))

    def _order(self, batch: PatchSequence, rng: RowRandom) -> Tensor:
        """[row, patch] positions in the order in which they are hidden; invalid patches come last."""
        priority = self.priority(batch, rng).masked_fill(~batch.valid, 2.0)
        # lexicographic: cell priority first, then a random order inside the cell
        by_tie = patch_uniform(rng.fork("tie"), batch.valid).argsort(dim=1, stable=True)
        key = torch.gather(priority, 1, by_tie)
        return torch.gather(by_tie, 1, key.argsort(dim=1, stable=True))

    def priority(self, batch: PatchSequence, rng: RowRandom) -> Tensor:
        """[row, patch] in [0, 1], equal for the patches of a cell: low ones are hidden first."""
        cell = self.cells(batch, rng.fork("cells"))
        return torch.gather(rng.fork("priority").uniform(batch.n_patches), 1, cell)


def _split(order: Tensor, length: Tensor, share: float, turn: int) -> tuple[IndexSet, IndexSet]:
    """Visible and hidden index sets of one mask: it hides the `turn`-th stretch of `share` along the order.

    Stretches end at rounded multiples of the exact share, so that they never overlap by rounding.
    """
    start, stop = ((i * share * length.double() + 0.5).floor().long() for i in (turn, turn + 1))
    hidden = torch.minimum((stop - start).clamp(min=1), (length - 1).clamp(min=0))
    width = int(hidden.max()) if len(hidden) else 0
    rest = int((length - hidden).max()) if len(hidden) else 0
    targets = _take(order, start, hidden, length, width)
    visible = _take(order, start + hidden, length - hidden, length, rest)
    return visible, targets


def _take(order: Tensor, start: Tensor, count: Tensor, length: Tensor, width: int) -> IndexSet:
    """`count` entries of each row's order from `start`, wrapping around at `length`."""
    k = torch.arange(width, device=order.device)
    valid = k < count.unsqueeze(1)
    at = (start.unsqueeze(1) + k) % length.clamp(min=1).unsqueeze(1)
    return IndexSet(torch.gather(order, 1, at), valid)


def _thin(chosen: IndexSet, share: float, rng: RowRandom) -> IndexSet:
    """A random `share` of each row's patches, at least one of any."""
    count = chosen.valid.sum(dim=1)
    kept = torch.minimum((share * count.double() + 0.5).floor().long().clamp(min=1), count)
    draw = rng.uniform(chosen.index.shape[1]).masked_fill(~chosen.valid, 2.0)
    width = int(kept.max()) if len(kept) else 0
    order = draw.argsort(dim=1, stable=True)[:, :width]
    return IndexSet(chosen.index.gather(1, order), torch.arange(width, device=count.device) < kept.unsqueeze(1))


def _stack(sets: list[IndexSet]) -> IndexSet:
    if len(sets) == 1:
        return sets[0]
    width = max(s.index.shape[1] for s in sets)

    def widen(t: Tensor) -> Tensor:
        return torch.nn.functional.pad(t, (0, width - t.shape[1]))

    return IndexSet(torch.cat([widen(s.index) for s in sets]), torch.cat([widen(s.valid) for s in sets]))


@register("mask", "random")
class RandomMask(MaskSampler):
    """Each patch for itself (MAE, He et al. 2021, https://arxiv.org/abs/2111.06377)."""

    def cells(self, batch: PatchSequence, rng: RowRandom) -> Tensor:
        return (batch.valid.cumsum(dim=1) - 1).clamp(min=0)

    def _order(self, batch: PatchSequence, rng: RowRandom) -> Tensor:
        # cells of one patch need no order inside: one sort in place of two, half of the time of masking long histories
        return self.priority(batch, rng).masked_fill(~batch.valid, 2.0).argsort(dim=1, stable=True)


@register("mask", "group")
class GroupMask(MaskSampler):
    """Whole structural units: leads, electrodes, body parts, beats."""

    def cells(self, batch: PatchSequence, rng: RowRandom) -> Tensor:
        return dense(batch.group, batch.valid)


@register("mask", "place")
class PlaceMask(MaskSampler):
    """Whole places along the named axes: all patches with the same coordinates there, e.g. a lead or an electrode
    whatever its groups stand for."""

    def __init__(self, *, axes: list[str], **common: Any) -> None:
        super().__init__(**common)
        if not axes:
            raise ValueError("a place mask needs at least one axis")
        self.axes = list(axes)

    def cells(self, batch: PatchSequence, rng: RowRandom) -> Tensor:
        return place_codes(batch, self.axes, "place")


@register("mask", "box")
class BoxMask(MaskSampler):
    """Boxes in coordinate space (I-JEPA, V-JEPA), sized in the units of the named axes.

    size: {axis name: edge length}; axes not named are not divided (a box spans them whole).
    """

    def __init__(self, *, size: dict[str, float], **common: Any) -> None:
        super().__init__(**common)
        if not size or any(edge <= 0 for edge in size.values()):
            raise ValueError(f"box size needs a positive edge length for at least one axis, got {size}")
        self.size = dict(size)

    def cells(self, batch: PatchSequence, rng: RowRandom) -> Tensor:
        return _box_cells(batch, rng, self.size)


@register("mask", "span")
class SpanMask(MaskSampler):
    """Spans along the first axis (time), all sensors together: boxes that divide no other axis.

    span: length of a hidden stretch in the unit of the first axis.
    """

    def __init__(self, *, span: float = 1.0, **common: Any) -> None:
        super().__init__(**common)
        if span <= 0:
            raise ValueError(f"span must be positive, got {span}")
        self.span = span

    def cells(self, batch: PatchSequence, rng: RowRandom) -> Tensor:
        return _box_cells(batch, rng, {batch.spec.axes[0]: self.span})


def place_codes(batch: PatchSequence, axes: list[str], mask: str) -> Tensor:
    """[row, patch] number of each patch's place along the axes, from 0 in each row; `mask` is named in errors."""
    code = torch.zeros_like(batch.group)
    for axis in axes:
        # adding zero makes -0.0 the same place as 0.0; equal numbers have equal bits then
        place = batch.coords[..., axis_index(batch, axis, mask)].double().masked_fill(~batch.valid, 0.0) + 0.0
        code = dense(code * batch.n_patches + dense(place.view(torch.int64), batch.valid), batch.valid)
    return code


# most cells along one axis, so that the cells of five axes fit one 64-bit code
_MOST_CELLS = 4096


def _box_cells(batch: PatchSequence, rng: RowRandom, size: dict[str, float]) -> Tensor:
    """[row, patch] number of the box each patch lies in."""
    code = torch.zeros_like(batch.group)
    for axis, edge in size.items():
        i = axis_index(batch, axis, "box")
        cell = torus_cell(batch.coords[..., i], batch.valid, edge, batch.spec.axis_scales[i], rng)
        code = code * _MOST_CELLS + cell
    return dense(code, batch.valid)


def axis_index(batch: PatchSequence, axis: str, mask: str) -> int:
    """Number of an axis that a mask names. Raises InputError with the nearest name."""
    if axis not in batch.spec.axes:
        raise InputError(f"a {mask} mask names axis {axis!r}", fix=nearest(axis, batch.spec.axes))
    return batch.spec.axes.index(axis)


def torus_cell(x: Tensor, valid: Tensor, edge: float, step: float, rng: RowRandom) -> Tensor:
    """Cell number of each coordinate on a circle of the row's own extent, cut into equal arcs from a random origin."""
    low, extent = row_extent(x, valid, step)
    arcs = (extent / edge).round().clamp(min=1, max=_MOST_CELLS)
    turn = ((x - low) / extent + rng.uniform(1)) % 1.0
    cell = torch.where(valid, (turn * arcs).floor(), 0.0).long()
    return torch.minimum(cell, arcs.long() - 1)


def row_extent(x: Tensor, valid: Tensor, step: float) -> tuple[Tensor, Tensor]:
    """[row, 1] lowest coordinate of each row's valid patches and the length of the circle that they fill."""
    low = x.masked_fill(~valid, torch.inf).amin(dim=1, keepdim=True)
    high = x.masked_fill(~valid, -torch.inf).amax(dim=1, keepdim=True)
    low = torch.where(torch.isfinite(low), low, 0.0)
    # patches occupy one step each, so the circle is one step longer than the distance between the outer centres
    return low, torch.where(torch.isfinite(high), high - low, 0.0) + step


def dense(code: Tensor, valid: Tensor) -> Tensor:
    """Renumber codes within each row to 0 .. patches - 1 (equal codes stay equal), whatever their size."""
    big = code.masked_fill(~valid, torch.iinfo(torch.long).max)
    ordered, order = big.sort(dim=1, stable=True)
    fresh = torch.zeros_like(ordered)
    fresh[:, 1:] = (ordered[:, 1:] != ordered[:, :-1]).long()
    return torch.zeros_like(code).scatter(1, order, fresh.cumsum(dim=1))
