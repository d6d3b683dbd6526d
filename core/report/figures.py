"""Figures of results: each takes plain numbers and returns inline SVG, or "" when there is nothing to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from . import words
from .look import GRID, INK, MODELS, SOFT, WASH, WIDE, class_colour, new_figure, style, to_svg

_DOTS = 600  # decisions in one panel
_BINS = 10


def forest(results: dict[str, Any], metric: str) -> str:
    """Every line of the table as mean and interval, seeds as small marks."""
    lines = words.lines(results)
    if not lines:
        return ""
    several = len({line[2] for line in lines}) > 1
    with style():
        figure = new_figure(WIDE, 0.62 + 0.32 * len(lines))
        axes = figure.add_subplot()
        for y, line in enumerate(lines):
            found = words.entry(results, line, metric)
            if found is None or found["mean"] is None:
                continue
            colour = MODELS[line[0]]
            if found["ci_low"] is not None:
                axes.plot([found["ci_low"], found["ci_high"]], [y, y], color=colour, linewidth=5, alpha=0.28)
            runs = [row["metrics"].get(metric) for row in results["rows"] if words.line_of(row) == line]
            runs = [score for score in runs if score is not None]
            axes.plot(runs, [y] * len(runs), "|", color=colour, markersize=9, markeredgewidth=1.2)
            axes.plot(found["mean"], y, "o", color=colour, markersize=6.5)
        axes.set_yticks(range(len(lines)), [words.line_label(line, fraction=several) for line in lines])
        axes.set_ylim(len(lines) - 0.4, -0.6)
        axes.set_xlabel(f"{words.metric_label(metric)} on the test side")
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", labelcolor=INK)
        return to_svg(figure, "results with intervals")


def effects(differences: Sequence[dict[str, Any]], metric: str) -> str:
    """Pretrained minus its control, paired over subjects, for every protocol."""
    shown = [d for d in differences if d["metric"] == metric and d["mean"] is not None]
    if not shown:
        return ""
    several = len({d["label_fraction"] for d in shown}) > 1
    with style():
        figure = new_figure(WIDE, 0.72 + 0.34 * len(shown))
        axes = figure.add_subplot()
        axes.axvline(0, color=SOFT, linewidth=1)
        for y, d in enumerate(shown):
            if d["ci_low"] is not None:
                axes.plot([d["ci_low"], d["ci_high"]], [y, y], color=MODELS["pretrained"], linewidth=2.2)
            axes.plot(d["mean"], y, "o", color=MODELS["pretrained"], markersize=7)
        labels = [f"{words.PROTOCOL_LABELS[d['protocol']]}, against {words.MODEL_LABELS[d['control']]}" for d in shown]
        labels = [
            f"{t}, {d['label_fraction']:.0%} of labels" if several else t for t, d in zip(labels, shown, strict=True)
        ]
        axes.set_yticks(range(len(shown)), labels)
        axes.set_ylim(len(shown) - 0.4, -0.6)
        low, high = axes.get_xlim()
        axes.set_xlim(min(low, -0.02), max(high, 0.02))
        axes.set_xlabel(f"difference in {words.metric_label(metric)} (right of zero: pretraining helped)")
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", labelcolor=INK)
        return to_svg(figure, "paired differences")


def confusion(matrix: Sequence[Any], classes: Sequence[str]) -> str:
    """Rows are true classes, shaded by share of the row; multi-label tasks show one small table a class."""
    counts = np.asarray(matrix, float)
    if counts.ndim != 2 or not counts.size:
        return ""
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    with style():
        figure = new_figure(4.4, 4.1)
        axes = figure.add_subplot()
        for row in range(len(classes)):
            for column in range(len(classes)):
                right = row == column
                colour = MODELS["pretrained"] if right else class_colour(2)
                axes.fill_between([column - 0.48, column + 0.48], row - 0.48, row + 0.48, color=colour, linewidth=0,
                                  alpha=float(0.06 + 0.6 * share[row, column]))  # fmt: skip
                axes.text(column, row - 0.06, f"{share[row, column]:.0%}", ha="center", va="center", fontsize=10.5,
                          fontweight="bold" if right else "normal")  # fmt: skip
                axes.text(
                    column, row + 0.27, f"{counts[row, column]:.0f}", ha="center", va="center", fontsize=7.5, color=SOFT
                )
        axes.set_xticks(range(len(classes)), list(classes))
        axes.set_yticks(range(len(classes)), list(classes))
        axes.set_xlim(-0.5, len(classes) - 0.5)
        axes.set_ylim(len(classes) - 0.5, -0.5)
        axes.set_aspect("equal")
        axes.grid(visible=False)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        for spine in axes.spines.values():
            spine.set_visible(False)
        return to_svg(figure, "confusion matrix")


def roc(
    label: np.ndarray, probability: np.ndarray, other: tuple[np.ndarray, np.ndarray] | None, classes: Sequence[str]
) -> str:
    """One-vs-rest curves of each class; dashed: the control."""
    from sklearn.metrics import auc, roc_curve

    with style():
        figure = new_figure(4.4, 4.1)
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=GRID, linewidth=1)
        drawn = 0
        pairs = [(label, probability, False), *([(*other, True)] if other else [])]
        for c, name in enumerate(classes):
            for y, p, dashed in pairs:
                truth = (y[:, c] > 0.5) if y.ndim == 2 else y == c
                if not truth.any() or truth.all():
                    continue
                x, height, _ = roc_curve(truth, p[:, c])
                kept = _thin(x, height)
                text = None if dashed else f"{name}  {auc(x, height):.3f}"
                axes.plot(x[kept], height[kept], color=class_colour(c), linestyle=(0, (3, 2)) if dashed else "-",
                          linewidth=1.0 if dashed else 1.8, label=text)  # fmt: skip
                drawn += 1
        if not drawn:
            return ""
        axes.set_xlabel("false positive rate")
        axes.set_ylabel("sensitivity")
        axes.set_xlim(-0.01, 1.01)
        axes.set_ylim(-0.01, 1.01)
        axes.legend(loc="lower right", title="class  AUROC", title_fontsize=8.5, alignment="left")
        return to_svg(figure, "ROC curves")


def calibration(curves: Mapping[words.Line, tuple[np.ndarray, np.ndarray]]) -> str:
    """How often the predicted class is right, by how sure the model was; below: how often it is that sure."""
    if not curves:
        return ""
    with style():
        figure = new_figure(4.4, 4.1)
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3.4, 1])
        top.plot([0, 1], [0, 1], color=GRID, linewidth=1)
        for line, (label, probability) in curves.items():
            sure, right = (
                (probability.ravel(), label.ravel() > 0.5)
                if label.ndim == 2
                else (probability.max(axis=1), probability.argmax(axis=1) == label)
            )
            bin_of = np.minimum((sure * _BINS).astype(int), _BINS - 1)
            counts = np.bincount(bin_of, minlength=_BINS)
            full = counts > 0
            x = np.bincount(bin_of, weights=sure, minlength=_BINS)[full] / counts[full]
            y = np.bincount(bin_of, weights=right, minlength=_BINS)[full] / counts[full]
            top.plot(x, y, "o-", color=MODELS[line[0]], markersize=4.5, label=words.line_label(line))
            centre = (np.arange(_BINS) + 0.5) / _BINS
            bottom.plot(centre, counts / counts.sum(), "-", drawstyle="steps-mid", color=MODELS[line[0]], linewidth=1.2)
        top.set_ylabel("observed share")
        top.set_xlim(-0.01, 1.01)
        top.set_ylim(-0.01, 1.01)
        top.legend(loc="upper left")
        bottom.set_ylabel("share")
        bottom.set_xlabel("predicted probability")
        return to_svg(figure, "calibration")


def agreement(curves: Mapping[words.Line, tuple[np.ndarray, np.ndarray]]) -> str:
    """Predicted against true numbers, a panel a featured line; of very many decisions evenly chosen ones."""
    if not curves:
        return ""
    with style():
        figure = new_figure(4.4 * min(2, len(curves)), 4.1 * -(-len(curves) // 2))
        panels = figure.subplots(-(-len(curves) // 2), min(2, len(curves)), squeeze=False).ravel()
        every = np.concatenate([np.concatenate([label, said[:, 0]]) for label, said in curves.values()])
        ends = [float(every.min()), float(every.max())]
        for axes, (line, (label, said)) in zip(panels, curves.items(), strict=False):
            kept = np.unique(np.linspace(0, len(label) - 1, min(len(label), _DOTS)).astype(int))
            axes.plot(ends, ends, color=GRID, linewidth=1)
            axes.plot(label[kept], said[kept, 0], "o", color=MODELS[line[0]], markersize=4, alpha=0.5)
            axes.set_title(words.line_label(line))
            axes.set_xlabel("true")
            axes.set_ylabel("predicted")
        for axes in panels[len(curves) :]:
            axes.set_visible(False)
        return to_svg(figure, "agreement")


def by_group(tables: Sequence[dict[str, Any]], metric: str = "macro_f1") -> str:
    """Each test record as a dot for every featured line, joined over lines: the spread behind the mean."""
    if not tables or not tables[0]["entries"]:
        return ""
    lines = [tuple(table["line"]) for table in tables]
    values = {e["record"]: [np.nan] * len(lines) for e in tables[0]["entries"]}
    for i, table in enumerate(tables):
        for e in table["entries"]:
            values.setdefault(e["record"], [np.nan] * len(lines))[i] = e["metrics"].get(metric, np.nan)
    with style():
        figure = new_figure(4.4, 4.1)
        axes = figure.add_subplot()
        for heights in values.values():
            axes.plot(range(len(lines)), heights, color=GRID, linewidth=0.8, zorder=1)
        for i, line in enumerate(lines):
            column = np.array([heights[i] for heights in values.values()], float)
            column = column[~np.isnan(column)]
            if not len(column):
                continue
            axes.plot([i] * len(column), column, "o", color=MODELS[line[0]], markersize=5, alpha=0.75, zorder=2)
            axes.plot([i - 0.16, i + 0.16], [np.median(column)] * 2, color=INK, linewidth=2, zorder=3)
        axes.set_xticks(range(len(lines)), [words.line_label(line).replace(", ", ",\n") for line in lines])
        axes.set_xlim(-0.5, len(lines) - 0.5)
        axes.set_ylim(top=1.02)
        axes.tick_params(axis="x", labelcolor=INK)
        axes.grid(axis="x", visible=False)
        axes.set_ylabel(f"{words.metric_label(metric)} of a record")
        return to_svg(figure, "spread over records")


def share_bars(sides: Sequence[dict[str, Any]], classes: Sequence[str]) -> str:
    """Class shares of labelled items on each side."""
    if not sides:
        return ""
    with style():
        figure = new_figure(WIDE, 0.6 + 0.36 * len(sides))
        axes = figure.add_subplot()
        for y, side in enumerate(sides):
            left, total = 0.0, max(1, sum(side["counts"].values()))
            for c, name in enumerate(classes):
                width = side["counts"].get(name, 0) / total
                axes.barh(y, width, left=left, height=0.62, color=class_colour(c), alpha=0.85,
                          label=name if y == 0 else None)  # fmt: skip
                left += width
        axes.set_yticks(range(len(sides)), [side["side"] for side in sides])
        axes.set_ylim(len(sides) - 0.4, -0.6)
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:.0%}")
        axes.grid(visible=False)
        axes.set_facecolor(WASH)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), ncols=1 + len(classes) // 5)
        return to_svg(figure, "classes by side")


def _thin(x: np.ndarray, y: np.ndarray, most: int = 160) -> np.ndarray:
    """Positions that keep a curve's shape with few points, evenly along its length."""
    if len(x) <= most:
        return np.arange(len(x))
    length = np.concatenate([[0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    return np.unique(np.searchsorted(length, np.linspace(0, length[-1], most)).clip(max=len(x) - 1))
