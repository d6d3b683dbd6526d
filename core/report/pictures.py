"""Figures of the model: its map of the test items, its training, and a window as the objective sees it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..seeing import Seeing, SeenWindow
from .look import CLASSES, INK, MODELS, SOFT, WASH, WIDE, class_colour, new_figure, signed_colours, style, to_svg
from .words import MODEL_LABELS, axis_label

_MARKS = ("o", "^", "s", "D")  # of subjects, once the colours are used up
_SERIES = 5  # curves in one panel; more cannot be told apart
# panel -> suffix of the columns of `metrics.csv` it shows
_WATCHED = {"spread between windows": "/std", "effective rank": "/rankme", "mean cosine": "/cosine"}


def embedding_map(arrays: Mapping[str, np.ndarray], classes: Sequence[str]) -> str:
    """t-SNE of frozen features, coloured by class (left) and by subject (right), one row a model."""
    models = [m for m in ("pretrained", "random-init") if f"map_{m}" in arrays]
    if not models:
        return ""
    with style():
        figure = new_figure(WIDE, 4.0 * len(models))
        panels = figure.subplots(len(models), 2, squeeze=False)
        for row, model in zip(panels, models, strict=True):
            points, label = arrays[f"map_{model}"], arrays[f"map_{model}_label"]
            subject = arrays[f"map_{model}_subject"]
            for c in range(len(classes)):
                _dots(row[0], points[label == c], class_colour(c), classes[c])
            for i, s in enumerate(np.unique(subject)):
                _dots(row[1], points[subject == s], class_colour(i), None, _MARKS[i // len(CLASSES) % len(_MARKS)])
            row[0].set_title(f"{MODEL_LABELS[model]}, by class")
            row[1].set_title(f"{MODEL_LABELS[model]}, by subject ({len(np.unique(subject))})")
        panels[0][0].legend(loc="best", markerscale=1.8, handletextpad=0.2)
        for axes in panels.ravel():
            axes.set_xticks([])
            axes.set_yticks([])
            axes.grid(visible=False)
            axes.set_facecolor(WASH)
            for spine in axes.spines.values():
                spine.set_visible(False)
        return to_svg(figure, "embedding map")


def training(rows: Sequence[Mapping[str, str]]) -> str:
    """Loss and terms, and the health of the representation, against the step."""
    curves = _curves(rows)
    if "loss" not in curves:
        return ""
    terms = {k.removeprefix("term/"): v for k, v in curves.items() if k.startswith("term/")}
    panels: list[tuple[str, dict[str, Any]]] = [("loss", {"loss": curves["loss"], **(terms if len(terms) > 1 else {})})]
    for title, suffix in _WATCHED.items():
        found = {k.removesuffix(suffix): v for k, v in curves.items() if k.endswith(suffix)}
        if found:
            panels.append((title, found))
    if "knn/balanced_accuracy" in curves:
        panels.append(("kNN balanced accuracy", {"validation subjects": curves["knn/balanced_accuracy"]}))
    panels.append(("learning rate", {"": curves["lr"]} if "lr" in curves else {}))
    panels = [panel for panel in panels if panel[1]]
    # one colour a place where vectors are watched, the same in every panel
    watched = list(dict.fromkeys(name for title, series in panels if title in _WATCHED for name in series))[:_SERIES]
    with style():
        figure = new_figure(WIDE, 2.5 * ((len(panels) + 2) // 3) + (0.3 if watched else 0))
        grid = figure.subplots((len(panels) + 2) // 3, 3, squeeze=False).ravel()
        for axes, (title, series) in zip(grid, panels, strict=False):
            names = watched if title in _WATCHED else list(series)[:_SERIES]
            for i, name in enumerate(names):
                if name in series:
                    colour = MODELS["pretrained"] if i == 0 else class_colour(i)
                    mark = "o" if len(series[name][0]) < 3 else ""  # one point makes no line
                    axes.plot(*series[name], marker=mark, markersize=4, color=colour, linewidth=1.4, label=name)
            axes.set_title(title)
            axes.set_xlabel("step")
            axes.ticklabel_format(axis="y", useOffset=False)
            if len(names) > 1 and title not in _WATCHED:
                axes.legend(fontsize=8, labelspacing=0.2)
        for axes in grid[len(panels) :]:
            axes.set_visible(False)
        if watched:
            panel = next(axes for axes, (title, _) in zip(grid, panels, strict=False) if title in _WATCHED)
            figure.legend(*panel.get_legend_handles_labels(), loc="outside lower left", ncols=_SERIES)
        return to_svg(figure, "pretraining")


def example_window(arrays: Mapping[str, np.ndarray]) -> str:
    """One window with hidden patches shaded, its augmented versions, or its raw patches where nothing can be undone."""
    if "window_spec" not in arrays:
        return ""
    if "window_signal_0" in arrays:
        return _signal(arrays)
    if "window_values" in arrays:
        return _values(arrays)
    return ""


def own_window(arrays: Mapping[str, np.ndarray], seeing: Seeing) -> str:
    """One window as its modality draws it, for patches that are no samples of sensors over time; "" = it does not."""
    if "window_values" not in arrays:
        return ""
    values, valid = arrays["window_values"], arrays["window_valid"].astype(bool)
    hidden = np.zeros(len(values), bool)
    hidden[arrays.get("window_hidden", np.empty(0, int))] = True
    window = SeenWindow(
        np.where(valid[:, None], values, np.nan), arrays["window_coords"], hidden & valid, arrays.get("window_rebuilt")
    )
    colours = {"ink": INK, "soft": SOFT, "hidden": MODELS["pretrained"], "predicted": class_colour(2)}
    with style():
        figure = new_figure(WIDE, 2.6)
        return to_svg(figure, "example window") if seeing.draw_window(figure, window, colours) else ""


def _signal(arrays: Mapping[str, np.ndarray]) -> str:
    signals = [arrays[name] for name in sorted(arrays) if name.startswith("window_signal_")]
    rows = [i for i in range(len(signals[0])) if np.isfinite(signals[0][i]).any()][:6]
    if not rows:
        return ""
    spec = json.loads(str(arrays["window_spec"]))
    time, step = arrays["window_coords"][:, 0], float(spec["scales"][0])
    valid = arrays["window_valid"].astype(bool)
    start, stop = float(time[valid].min() - step / 2), float(time[valid].max() + step / 2)
    with style():
        figure = new_figure(WIDE, 0.5 + 1.05 * len(rows))
        panels = figure.subplots(len(rows), 1, sharex=True, squeeze=False).ravel()
        for axes, row in zip(panels, rows, strict=True):
            for centre in _hidden(arrays, row, len(signals[0])):
                axes.axvspan(centre - step / 2, centre + step / 2, color=MODELS["pretrained"], alpha=0.16, linewidth=0)
            for i, signal in enumerate(signals):
                x = np.linspace(start, stop, signal.shape[1], endpoint=False)
                axes.plot(x, signal[row], color=INK if i == 0 else class_colour(i), linewidth=0.9)
            if "window_reconstruction" in arrays:
                rebuilt = arrays["window_reconstruction"][row]
                x = np.linspace(start, stop, len(rebuilt), endpoint=False)
                axes.plot(x, rebuilt, color=class_colour(2), linewidth=1.3)
            axes.set_yticks([])
            axes.grid(visible=False)
            axes.spines["left"].set_visible(False)
        panels[-1].set_xlabel(axis_label(spec["axes"][0]))
        panels[-1].set_xlim(start, stop)
        return to_svg(figure, "example window")


def _hidden(arrays: Mapping[str, np.ndarray], row: int, rows: int) -> np.ndarray:
    """Centres of hidden patches that belong to one sensor; a joint patch belongs to all of them."""
    if "window_hidden" not in arrays:
        return np.empty(0)
    coords, hidden = arrays["window_coords"], arrays["window_hidden"]
    if len(np.unique(coords[:, 0])) == len(coords) or rows == 1:
        return coords[hidden, 0]
    per_sensor = len(coords) // rows  # patches of one sensor after another
    return coords[hidden[hidden // per_sensor == row], 0]


def _values(arrays: Mapping[str, np.ndarray]) -> str:
    values = arrays["window_values"][arrays["window_valid"].astype(bool)]
    values = values - np.nanmedian(values)
    limit = float(np.nanpercentile(np.abs(values), 98)) or 1.0
    with style():
        figure = new_figure(WIDE, 2.6)
        axes = figure.add_subplot()
        axes.imshow(values.T, aspect="auto", cmap=signed_colours(), vmin=-limit, vmax=limit, interpolation="nearest")
        for patch in arrays.get("window_hidden", ()):
            axes.plot([patch - 0.5, patch + 0.5], [-1.2, -1.2], color=MODELS["pretrained"], linewidth=4, clip_on=False)
        axes.set_xlabel("patch")
        axes.set_ylabel("value")
        axes.grid(visible=False)
        return to_svg(figure, "example window")


def _dots(axes: Any, points: np.ndarray, colour: str, label: str | None, mark: str = "o") -> None:
    if len(points):
        axes.plot(
            points[:, 0], points[:, 1], mark, color=colour, markersize=2.6, markeredgewidth=0, alpha=0.75, label=label
        )


def _curves(rows: Sequence[Mapping[str, str]]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Column -> (steps, values), where it was logged."""
    columns = dict.fromkeys(key for row in rows for key in row if key != "step")
    curves = {}
    for column in columns:
        pairs = [(int(row["step"]), float(row[column])) for row in rows if row.get(column)]
        if pairs:
            x, y = zip(*pairs, strict=True)
            curves[column] = (np.array(x), np.array(y))
    return curves
