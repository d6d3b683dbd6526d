"""What decisions rest on, drawn: a map of places where the modality can draw one, and bars for places and parts.

Numbers come from `downstream/falls.occlusion_table`. A place that speaks for the right class is blue, one that
speaks for another is red.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..seeing import Seeing
from .look import INK, SOFT, WIDE, Drawing, class_colour, new_figure, signed_colours, style, to_svg

_MOST_MAPS = 5
_MOST_BARS = 24
_UNIT = "fall of the log-probability of the right class"


def maps(
    seeing: Seeing, where: np.ndarray, panels: Mapping[str, np.ndarray], label: str, *, smooth: bool = True
) -> Drawing | str:
    """A map for each title of `panels` {title: values [place]}, NaN = unknown, on one scale that `label` names.

    where: [place, axis] in the order of `spec.axes`. smooth: False for yes and no, which need neither shades nor scale.
    "" where the modality draws none, or all values are zero.
    """
    largest = [float(np.nanmax(np.abs(values))) for values in panels.values() if np.isfinite(values).any()]
    limit = max(largest, default=0.0) * (1 if smooth else 2)  # names must be legible on what is marked
    if not limit:
        return ""
    with style():
        figure = new_figure(WIDE, 0.75 + 0.98 * WIDE / max(3, len(panels)))
        grid = figure.subplots(2, len(panels), squeeze=False, height_ratios=[1, 0.045])
        for axes, (title, values) in zip(grid[0], panels.items(), strict=True):
            there = np.isfinite(values)
            if not seeing.draw_places(axes, where[there], values[there], limit, signed_colours(), smooth=smooth):
                return ""
            _in_ink(axes)
            axes.set_title(title, loc="center")
        for axes in grid[1]:
            axes.set_visible(False)
        if smooth:
            _scale(figure.add_subplot(grid[1, 0].get_gridspec()[1, :]), limit, label)
        else:
            figure.supxlabel(label, fontsize=9.5, color=SOFT)
        return to_svg(figure, "map of places", dots=36)


def place_maps(table: dict[str, Any], seeing: Seeing) -> Drawing | str:
    """Falls by place as a map a class; "" where the modality draws none."""
    places = table["places"]
    mean = np.array(places["mean"], float)
    panels = {_class_label(table, number): mean[number] for number in _shown_classes(table)}
    return maps(seeing, np.array(places["where"], float), panels, _UNIT)


def bars(table: dict[str, Any], kind: str) -> Drawing | str:
    """Bars of "places" or "parts", a colour a class, with intervals; the places with the largest falls first."""
    names = table[kind]["names"]
    if not names:
        return ""
    shown = _shown_classes(table)
    if kind == "places" and len(shown) > 2:
        shown = [0]
    mean, low, high = (np.array(table[kind][part], float)[shown] for part in ("mean", "low", "high"))
    order = np.arange(len(names))
    if kind == "places":
        order = np.argsort(-np.nan_to_num(np.array(table[kind]["mean"], float)[0]), kind="stable")[:_MOST_BARS]
    height = 0.8 / len(shown)
    with style():
        figure = new_figure(WIDE, 0.9 + (0.16 + 0.15 * len(shown)) * len(order))
        axes = figure.add_subplot()
        axes.axvline(0, color=SOFT, linewidth=1)
        for i, number in enumerate(shown):
            y = np.arange(len(order)) - 0.4 + (i + 0.5) * height
            colour = class_colour(number - 1) if number else SOFT
            axes.barh(y, mean[i][order], 0.86 * height, color=colour, alpha=0.8, label=_class_label(table, number))
            for at, a, b in zip(y, low[i][order], high[i][order], strict=True):
                if np.isfinite([a, b]).all():
                    axes.plot([a, b], [at, at], color=INK, linewidth=1)
        axes.set_yticks(range(len(order)), [names[i] for i in order])
        axes.set_ylim(len(order) - 0.5, -0.5)
        axes.tick_params(axis="y", labelcolor=INK)
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(_UNIT)
        if len(shown) > 1:
            axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        return to_svg(figure, f"{kind} hidden")


def _shown_classes(table: dict[str, Any]) -> list[int]:
    """Two classes are shown by themselves, more of them after what holds for all."""
    classes = len(table["classes"]) - 1
    return [1, 2] if classes == 2 else list(range(min(classes + 1, _MOST_MAPS)))


def _class_label(table: dict[str, Any], number: int) -> str:
    return table["classes"][number] if number else "all classes"


def _in_ink(axes: Any) -> None:
    """Lines, points and contours of a map in the page's colour of text."""
    for line in axes.lines:
        line.set_color(INK)
        line.set_markersize(2.0)
    for contours in axes.collections:
        contours.set_edgecolor(INK)
        contours.set_alpha(0.4)


def _scale(axes: Any, limit: float, label: str) -> None:
    """What the colours mean, as a picture: hundreds of little boxes would make a page heavy."""
    axes.imshow(np.linspace(-1, 1, 201)[None], cmap=signed_colours(), aspect="auto", extent=(-limit, limit, 0, 1))
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(label)
