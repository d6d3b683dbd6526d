"""Tables of the page as HTML. Every text that comes from data or configuration is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from ..downstream.rows import WITHOUT_ENCODER
from . import words

_ALWAYS = ("macro_f1", "auroc", "balanced_accuracy", "auprc", "accuracy", "ece", "ndcg@20", "recall@20")
# of a ranking, at the length of list that choices are made by; the rest is folded
_OF_LISTS = ("ndcg", "recall", "precision", "mrr", "map", "hit_rate")
_MOST_ROWS = 60


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: int = 1, caption: str = "") -> str:
    """Cells are HTML already. `numbers`: the first column that holds numbers; they are set to the right."""

    def cell(tag: str, i: int, text: str) -> str:
        return f'<{tag} class="n">{text}</{tag}>' if i >= numbers else f"<{tag}>{text}</{tag}>"

    header = "".join(cell("th", i, escape(text)) for i, text in enumerate(head))
    body = "".join(
        "<tr>" + "".join(cell("td", i, text) for i, text in enumerate(row)) + "</tr>" for row in rows[:_MOST_ROWS]
    )
    left = len(rows) - _MOST_ROWS
    more = f'<p class="note">{left} more rows are in results.json.</p>' if left > 0 else ""
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (
        f'<div class="scroll"><table>{title}<thead><tr>{header}</tr></thead><tbody>{body}</tbody></table></div>{more}'
    )


def facts(pairs: Sequence[tuple[str, object]]) -> str:
    """Name and value pairs."""
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(str(value))}</dd></div>" for name, value in pairs)
    return f'<dl class="facts">{items}</dl>'


def results_table(results: dict[str, Any]) -> str:
    """All lines with means and intervals; the best mean of a column is bold (never the class prior)."""
    present = {e["metric"] for e in results["summary"]}
    metrics = [m for m in _ALWAYS if m in present]
    metrics += sorted(m for m in present if m not in _ALWAYS and not m.startswith("f1_"))
    _, ranks, length = words.primary_metric(results).partition("@")
    usual = [f"{name}@{length}" for name in _OF_LISTS]
    shown = [m for m in usual if m in present] if ranks else metrics
    folded = [m for m in metrics if m not in shown]
    if not folded:
        return _lines_table(results, shown)
    summary = "<summary>Other lengths of lists, and what else is told of them</summary>"
    return f"{_lines_table(results, shown)}<details>{summary}{_lines_table(results, folded)}</details>"


def _lines_table(results: dict[str, Any], metrics: Sequence[str]) -> str:
    lines = words.lines(results)
    best = {m: _best(results, lines, m) for m in metrics}
    several = len({line[2] for line in lines}) > 1
    rows = []
    for line in lines:
        model, protocol, share = line
        name = f'<span class="dot {model}"></span>{escape(words.model_label(line))}'
        how = "" if model in WITHOUT_ENCODER else words.PROTOCOL_LABELS[protocol]
        cells = [_mean(words.entry(results, line, m), line == best[m]) for m in metrics]
        found = words.entry(results, line, metrics[0]) if metrics else None
        shares = [f"{share:.0%}"] if several else []
        rows.append([name, escape(how), *shares, *cells, str(found["n"]) if found else ""])
    head = ["model", "protocol", *(["labels"] if several else []), *map(words.metric_label, metrics), "runs"]
    return table(head, rows, numbers=2)


def boundary_table(entries: Sequence[dict[str, Any]], axis: str) -> str:
    """Onsets and offsets of each class; `axis` is named with its unit, seconds are shown as milliseconds."""
    scale, unit = (1000.0, "ms") if axis.endswith("_s") else (1.0, axis.rpartition("_")[2])
    rows = [
        [
            escape(f"{e['class']} {e['side']}"), str(e["n"]),
            *(f"{e[m]:.3f}" for m in ("sensitivity", "precision", "f1")),
            f"{scale * e['error_mean']:+.3g} ± {scale * e['error_std']:.3g}",
        ]
        for e in entries
    ]  # fmt: skip
    return table(["boundary", "n", "sensitivity", "precision", "F1", f"error ({unit})"], rows)


def sensor_table(entries: Sequence[dict[str, Any]], metric: str) -> str:
    """A metric of every line after losses of sensors: mean, change against all sensors, worst draw; "" = not tested."""
    lost = sorted({e["dropped"] for e in entries})
    cells: dict[words.Line, dict[int, str]] = {}
    for e in entries:
        if e["metric"] == metric:
            low, high = e["change_low"], e["change_high"]
            bounds = "" if low is None else f" ({low:+.3f} to {high:+.3f})"
            text = f"{e['mean']:.3f}<small>{e['change']:+.3f}{bounds}; worst {e['worst']:.3f}</small>"
            cells.setdefault(words.line_of(e), {})[e["dropped"]] = text
    rows = [[escape(words.line_label(line)), *(of.get(n, "") for n in lost)] for line, of in cells.items()]
    return table(["model", *(f"without {n}" for n in lost)], rows) if rows else ""


def few_labels_table(entries: Sequence[dict[str, Any]], metric: str) -> str:
    """A metric of every line at each number of labels a class, pretrained ones against their control; "" = none."""
    from ..downstream.few_labels import label_words

    numbers = sorted({e["labels_per_class"] for e in entries})
    cells: dict[words.Line, dict[int, str]] = {}
    for e in (e for e in entries if e["metric"] == metric):
        small = [] if e["ci_low"] is None else [f"{e['ci_low']:.3f} to {e['ci_high']:.3f}"]
        if e.get("change") is not None:
            bounds = "" if e["change_low"] is None else f" ({e['change_low']:+.3f} to {e['change_high']:+.3f})"
            small.append(f"{e['change']:+.3f}{bounds} against {words.MODEL_LABELS[e['control']]}")
        text = f"{e['mean']:.3f}<small>{'; '.join(small)}</small>"
        cells.setdefault((e["model"], e["protocol"], 1.0), {})[e["labels_per_class"]] = text
    rows = [[escape(words.line_label(line)), *(of.get(n, "") for n in numbers)] for line, of in cells.items()]
    return table(["model", *map(label_words, numbers)], rows) if rows else ""


def given_table(entries: Sequence[dict[str, Any]], metric: str) -> str:
    """A metric of every line under each thing given, a row each, with intervals; "" = nothing is given."""
    cells: dict[str, dict[words.Line, str]] = {}
    for e in (e for e in entries if e["metric"] == metric):
        bounds = "" if e["ci_low"] is None else f"<small>{e['ci_low']:.3f} to {e['ci_high']:.3f}</small>"
        cells.setdefault(e["given"], {})[words.line_of(e)] = f"{e['mean']:.3f}{bounds}"
    lines = list(dict.fromkeys(line for of in cells.values() for line in of))
    several = len({line[2] for line in lines}) > 1
    rows = [[escape(name), *(of.get(line, "") for line in lines)] for name, of in cells.items()]
    return table(["given", *(words.line_label(line, fraction=several) for line in lines)], rows) if rows else ""


def longer_table(entries: Sequence[dict[str, Any]], metrics: Sequence[str]) -> str:
    """Metrics of every line for decisions on longer stretches, with intervals; "" = there are none."""
    lengths = sorted({e["seconds"] for e in entries})
    cells: dict[words.Line, dict[tuple[float, str], str]] = {}
    for e in entries:
        bounds = "" if e["ci_low"] is None else f"<small>{e['ci_low']:.3f} to {e['ci_high']:.3f}</small>"
        cells.setdefault(words.line_of(e), {})[e["seconds"], e["metric"]] = f"{e['mean']:.3f}{bounds}"
    columns = [(seconds, metric) for seconds in lengths for metric in metrics]
    rows = [[escape(words.line_label(line)), *(of.get(c, "") for c in columns)] for line, of in cells.items()]
    head = ["model", *(f"{words.metric_label(metric)}, {seconds:g} s" for seconds, metric in columns)]
    return table(head, rows) if rows else ""


def class_table(results: dict[str, Any]) -> str:
    """F1 of each class for every line."""
    lines = words.lines(results)
    metrics = list(dict.fromkeys(e["metric"] for e in results["summary"] if e["metric"].startswith("f1_")))
    if not metrics:
        return ""
    several, rows = len({line[2] for line in lines}) > 1, []
    for line in lines:
        name = f'<span class="dot {line[0]}"></span>{escape(words.line_label(line))}'
        rows.append(
            [name, *([f"{line[2]:.0%}"] if several else []), *(_shaded(words.entry(results, line, m)) for m in metrics)]
        )
    return table(["model", *(["labels"] if several else []), *(m.removeprefix("f1_") for m in metrics)], rows)


def record_table(tables: Sequence[dict[str, Any]], classes: Sequence[str]) -> str:
    """Each test record: how many items of each class, and F1 of every featured line."""
    if not tables or not tables[0]["entries"]:
        return ""
    others = [{e["record"]: e for e in t["entries"]} for t in tables]
    head = ["record", "subject", *(f"n {c}" for c in classes)]
    for t in tables:
        head += [f"{words.line_label(tuple(t['line']))}: {words.metric_label('macro_f1' if classes else 'mae')}"]
    rows = []
    for e in tables[0]["entries"]:
        counts = [str(e["counts"].get(c, 0) or "·") for c in classes]
        found = [o.get(e["record"], {}).get("metrics", {}) for o in others]
        scores = [_share(m.get("macro_f1")) if classes else _plain(m.get("mae")) for m in found]
        rows.append([escape(e["record"]), escape(e["subject"]), *counts, *scores])
    return table(head, rows, numbers=2)


def without_table(entries: Sequence[dict[str, Any]], metric: str) -> str:
    """The featured line without the subject that holds most of a class."""
    rows = [
        [escape(e["class"]), escape(e["subject"]), f"{e['share']:.0%}", _plain(e["metrics"].get(metric)),
         _plain(e["metrics"].get(f"f1_{e['class']}"))]
        for e in entries
    ]  # fmt: skip
    label = words.metric_label(metric)
    return table(["class", "held by", "share", f"{label} without", "F1 of the class without"], rows, numbers=2)


def skipped_table(skipped: Sequence[dict[str, str]]) -> str:
    """Recordings that could not be used, with the reason."""
    return table(["record", "reason"], [[escape(s["record"]), escape(s["reason"])] for s in skipped], numbers=9)


def quality_table(quality: dict[str, dict[str, str]]) -> str:
    """Sensors that should not be trusted."""
    rows = [[escape(r), escape(s), escape(why)] for r, sensors in quality.items() for s, why in sensors.items()]
    return table(["record", "sensor", "reason"], rows, numbers=9)


def _mean(found: dict[str, Any] | None, best: bool) -> str:
    if found is None or found["mean"] is None:
        return ""
    text = f"<b>{found['mean']:.3f}</b>" if best else f"{found['mean']:.3f}"
    if found["ci_low"] is None:
        return text
    return f'{text}<span class="ci">{found["ci_low"]:.2f}–{found["ci_high"]:.2f}</span>'


def _best(results: dict[str, Any], lines: Sequence[words.Line], metric: str) -> words.Line | None:
    means = [(words.entry(results, line, metric), line) for line in lines if line[0] != "prior"]
    known = [(e["mean"], line) for e, line in means if e is not None and e["mean"] is not None]
    if not known:
        return None
    choose = min if words.lower_is_better(metric) else max
    return choose(known, key=lambda pair: pair[0])[1]


def _shaded(found: dict[str, Any] | None) -> str:
    return _share(None if found is None else found["mean"])


def _share(value: float | None) -> str:
    if value is None:
        return ""
    return f'<span class="shade" style="--v:{max(0.0, min(1.0, value)):.3f}">{value:.2f}</span>'


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
