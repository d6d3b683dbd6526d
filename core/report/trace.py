"""Tokens drawn on the signal they came from: for notebooks, and for anyone who wants to see what a model is given.

The signal is what `Modality.unpatchify` gives back, so a picture shows what the encoder gets, not what the file holds.
Under it stands one lane a kind of token (`lanes`). The lanes also carry what a view of an objective hides (`states`),
or how much of something each token has (`weights`, for example attention).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, nearest
from .lanes import LANE, Tokens, by_state, by_unit, by_weight, draw_behind, draw_lanes
from .look import INK, WIDE, Drawing, class_colour, new_figure, style, to_svg
from .words import axis_label

if TYPE_CHECKING:
    from ..modality import Modality
    from ..sequence import PatchSequence

_MOST_SENSORS = 6
_SIGNAL = 0.95  # inches of one sensor's panel


@dataclass(frozen=True)
class Note:
    """A word above the signal, at a place on the first axis. colour: number of a class, None = ink."""

    at: float
    text: str
    colour: int | None = None


def trace(
    modality: Modality,
    batch: PatchSequence,
    row: int = 0,
    *,
    sensors: Sequence[str] = (),
    notes: Sequence[Note] = (),
    states: np.ndarray | None = None,
    weights: np.ndarray | None = None,
) -> Drawing:
    """One row of a batch as signal and lanes of tokens.

    sensors: names of those rows of the signal to draw, where the modality names places, else of its first rows
    (default: the first six). Patches of one sensor shade that sensor alone.
    states: [patch] of `window.view_states`. weights: [patch] numbers of at least 0; each lane is shaded by its own
    largest one, and says which share of the sum it holds. Raises InputError where patches do not give a signal back.
    """
    signal, chosen, names = _signal(modality, batch, row, sensors)
    tokens, valid = Tokens.of(batch, row), batch.valid[row].numpy()
    owner = _owners(batch, row, len(signal))[valid]
    share = None if weights is None else np.asarray(weights, float)[valid]
    paints = by_unit(tokens, behind=0.2 * (owner >= 0).any()) if states is None else by_state(np.asarray(states)[valid])
    paints = paints if share is None else by_weight(share, tokens.kind)
    shared = bool((owner < 0).any())  # tokens of all sensors stand in lanes
    lanes = LANE * len(tokens.kinds) if shared else 0.05
    with style():
        figure = new_figure(WIDE, 0.7 + _SIGNAL * len(chosen) + lanes + 0.2 * bool(notes) + 0.25 * (states is not None))
        *panels, below = figure.subplots(
            len(chosen) + 1, 1, sharex=True, height_ratios=[_SIGNAL] * len(chosen) + [lanes]
        )
        for axes, name, number in zip(panels, names, chosen, strict=True):
            draw_behind(axes, tokens, paints, (owner < 0) | (owner == number))
            _draw_signal(axes, signal[number], tokens.ends)
            axes.set_yticks([])
            axes.set_ylabel(name, rotation=0, ha="right", va="center", color=INK)
            for note in notes:
                axes.axvline(note.at, color=_colour(note), linewidth=0.7, alpha=0.55, zorder=1)
        for note in notes:
            panels[0].annotate(note.text, (note.at, 1), xycoords=("data", "axes fraction"), ha="center", va="bottom",
                               color=_colour(note), fontweight="bold", annotation_clip=True)  # fmt: skip
        draw_lanes(below, tokens, paints if shared else [])
        if not shared:
            below.set_yticks([])
        elif share is not None:
            for lane in range(len(tokens.kinds)):
                part = share[tokens.kind == lane].sum() / max(share.sum(), 1e-12)
                below.annotate(f"{part:.0%}", (1, lane), (4, 0), xycoords=("axes fraction", "data"),
                               textcoords="offset points", va="center", fontsize=9)  # fmt: skip
        if states is not None:
            keys = [below.bar(0, 0, color=paint.colour, alpha=paint.alpha, label=paint.label) for paint in paints]
            figure.legend(handles=keys, loc="outside lower right", ncols=len(keys))
        below.set_xlabel(axis_label(batch.spec.axes[0]))
        below.set_xlim(*tokens.ends)
        return to_svg(figure, "tokens on the signal")


def excerpts(
    modality: Modality,
    batch: PatchSequence,
    at: Sequence[float],
    titles: Sequence[str],
    *,
    reach: float,
    sensors: Sequence[str] = (),
    columns: int = 3,
) -> Drawing:
    """A small picture of each row of a batch: `reach` to both sides of a place on its first axis, which is marked.

    at, titles: one a row. sensors: as in `trace`. Raises InputError where patches do not give a signal back.
    """
    with style():
        tall = -(-len(batch) // columns)
        figure = new_figure(WIDE, 0.2 + 1.9 * tall)
        grid = figure.subplots(tall, columns, squeeze=False, sharex=True)
        for row, (axes, place, title) in enumerate(zip(grid.ravel(), at, titles, strict=False)):
            signal, chosen, names = _signal(modality, batch, row, sensors)
            signal = signal[chosen]
            start, stop = Tokens.of(batch, row).ends
            step = 1.1 * float(np.ptp(np.nan_to_num(signal), axis=1).max())
            axes.axvline(0, color=class_colour(2), linewidth=6, alpha=0.25)
            for i, values in enumerate(signal):
                _draw_signal(axes, values - i * step, (start - place, stop - place))
            axes.set_yticks(-step * np.arange(len(signal)), names if row % columns == 0 else [""] * len(signal))
            axes.tick_params(axis="y", labelcolor=INK)
            axes.set_title(title, fontsize=9.5)
        for axes in grid[-1]:
            axes.set_xlabel(f"{axis_label(batch.spec.axes[0])} from the mark")
        grid[0, 0].set_xlim(-reach, reach)
        for axes in grid.ravel()[len(batch) :]:
            axes.set_visible(False)
        return to_svg(figure, "excerpts")


def _signal(
    modality: Modality, batch: PatchSequence, row: int, sensors: Sequence[str]
) -> tuple[np.ndarray, list[int], Sequence[str]]:
    """[sensor, sample], the rows to draw, and their names."""
    try:
        signal = np.asarray(modality.unpatchify(batch.rows([row]))[0], np.float32)
    except NotImplementedError as error:
        raise InputError("patches of this configuration do not give the signal back", got=str(error)) from error
    known = _names(modality, batch, row, len(signal))
    if sensors:
        for name in sensors:
            if known and name not in known:
                raise InputError("no such sensor in this row", got=name, fix=nearest(name, known))
        chosen = [known.index(name) for name in sensors] if known else list(range(len(sensors)))
        return signal, chosen, sensors
    chosen = np.flatnonzero(np.isfinite(signal).any(axis=1))[:_MOST_SENSORS].tolist()
    return signal, chosen, [known[i] if known else "" for i in chosen]


def _units(batch: PatchSequence, row: int) -> np.ndarray:
    """[patch] number of the group of each patch of the first kind, in order of appearance; -1 = padding, or no such."""
    # a sensor without a valid patch has its row of the signal all the same; padding has no coordinates
    there = (batch.valid[row] | batch.coords[row].any(dim=1)) & (batch.kind[row] == 0)
    _, first, number = np.unique(batch.group[row][there].numpy(), return_index=True, return_inverse=True)
    unit = np.full(len(there), -1)
    unit[there.numpy()] = first.argsort().argsort()[number]
    return unit


def _owners(batch: PatchSequence, row: int, sensors: int) -> np.ndarray:
    """[patch] which of the rows of the signal a patch belongs to, -1 = all of them.

    Patches belong to one sensor each where there are as many groups as rows, and groups share places on the first axis.
    """
    unit, at = _units(batch, row), batch.coords[row, :, 0].numpy()
    own = unit >= 0
    alone = unit.max(initial=-1) + 1 == sensors > 1 and len(np.unique(at[own])) < own.sum()
    return unit if alone else np.full_like(unit, -1)


def _names(modality: Modality, batch: PatchSequence, row: int, sensors: int) -> list[str]:
    """Names of the rows of the signal, [] where patches are not of one place each."""
    unit = _units(batch, row)
    first = [int(np.flatnonzero(unit == i)[0]) for i in range(unit.max(initial=-1) + 1)]
    return modality.seeing().place_names(batch.coords[row].numpy()[first]) if len(first) == sensors else []


def _draw_signal(axes: Any, values: np.ndarray, ends: tuple[float, float]) -> None:
    axes.plot(np.linspace(*ends, len(values), endpoint=False), values, color=INK, linewidth=0.9)
    axes.grid(visible=False)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)


def _colour(note: Note) -> str:
    return INK if note.colour is None else class_colour(note.colour)
