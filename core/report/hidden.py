"""Values of hidden patches, observed against predicted, for patches that do not give a signal back (spectra).

`window_arrays` keeps them. Beside both stands the mean of the patches that were seen: what one would say who knows
nothing of the place. A decoder that only says this much looks good and has learned nothing, so the share of the rest
that it explains is told too.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..seeing import Seeing
from .look import INK, SOFT, WIDE, Drawing, class_colour, new_figure, style, to_svg

_PANELS, _COLUMNS = 8, 4


def hidden_values(arrays: Mapping[str, np.ndarray], seeing: Seeing) -> Drawing | str:
    """A panel each for a few hidden patches, evenly over all of them; "" where a run has none."""
    if "window_target" not in arrays:
        return ""
    target, predicted, seen = (arrays[f"window_{name}"] for name in ("target", "predicted", "seen_mean"))
    coords = arrays["window_coords"][arrays["window_patch"]]
    chosen = np.unique(np.linspace(0, len(target) - 1, min(_PANELS, len(target))).astype(int))
    at, unit = seeing.value_axis(0)
    at = at if len(at) else np.arange(target.shape[1])
    names = seeing.place_names(coords) or [f"patch {i}" for i in arrays["window_patch"]]
    several = len(np.unique(arrays["window_coords"][arrays["window_valid"].astype(bool), 0])) > 1
    with style():
        rows = -(-len(chosen) // _COLUMNS)
        figure = new_figure(WIDE, 0.55 + 1.75 * rows)
        grid = figure.subplots(rows, _COLUMNS, squeeze=False, sharex=True, sharey=True).ravel()
        for axes, i in zip(grid, chosen, strict=False):
            axes.plot(at, seen[: len(at)], color=SOFT, linewidth=1, linestyle=(0, (3, 2)), label="mean of patches seen")
            axes.plot(at, target[i, : len(at)], color=INK, linewidth=1.3, label="observed, hidden from the encoder")
            axes.plot(at, predicted[i, : len(at)], color=class_colour(2), linewidth=1.6, label="predicted")
            axes.set_title(f"{names[i]}, {coords[i, 0]:.1f} s" if several else names[i])
        for axes in grid[len(chosen) :]:
            axes.set_visible(False)
        for axes in grid[max(0, len(chosen) - _COLUMNS) : len(chosen)]:
            axes.set_xlabel(unit or "number of the value")
            axes.tick_params(labelbottom=True)
        figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower left", ncols=3)
        return to_svg(figure, "hidden patches")


def explained(arrays: Mapping[str, np.ndarray]) -> float:
    """Share of how hidden patches differ from the mean of those seen that was predicted; NaN without any."""
    if "window_target" not in arrays:
        return float("nan")
    target, predicted, seen = (arrays[f"window_{name}"] for name in ("target", "predicted", "seen_mean"))
    rest = np.nansum((target - seen) ** 2)
    return float(1.0 - np.nansum((target - predicted) ** 2) / rest) if rest > 0 else float("nan")
