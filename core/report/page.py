"""The page: sections in reading order, from the answer to what one needs to repeat it.

One file with inline style and graphics: it can be mailed, archived and opened offline. It names no address outside
itself and runs no script.
"""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from ..errors import CorruptFileError
from . import figures, pictures, tables, words
from .material import Material

Section = tuple[str, str, str]  # anchor, title, HTML


def write_report(folder: Path) -> Path:
    """Draw `report.html` of a finished run folder. Raises CorruptFileError when a file of the run cannot be read."""
    from ..run_folder import write_text

    folder = Path(folder)
    run = _Run(folder)
    write_text(folder / "report.html", _page(run))
    return folder / "report.html"


class _Run:
    """Everything a page is made of, read from a run folder."""

    def __init__(self, folder: Path) -> None:
        from ..train.metrics_log import read_rows

        self.results: dict[str, Any] = _json(folder / "results.json")
        self.environment: dict[str, Any] = _json(folder / "env.json") if (folder / "env.json").is_file() else {}
        config = folder / "config.yaml"
        self.config = config.read_text(encoding="utf-8") if config.is_file() else ""
        self.metrics = read_rows(folder / "metrics.csv")
        material = Material.load(folder)
        self.facts, self.arrays = material.facts, material.arrays
        self.metric = words.primary_metric(self.results)
        self.classes: list[str] = self.facts.get("classes", [])


def _page(run: _Run) -> str:
    r, env = run.results, run.environment
    answer = words.headline(r, run.facts.get("differences", []))
    sections = [s for s in (build(run) for build in _SECTIONS) if s[2]]
    menu = "".join(f'<a href="#{anchor}">{escape(title)}</a>' for anchor, title, _ in sections)
    body = "".join(
        f'<section id="{anchor}"><h2>{escape(title)}</h2>{html}</section>' for anchor, title, html in sections
    )
    stamps = "".join(f"<li>{escape(stamp)}</li>" for stamp in run.facts.get("stamps", []))
    kicker = (
        f"<b>{escape(r['recipe'])}</b> · {escape(r['modality'])} · {escape(r['objective'])} · {escape(r['dataset'])}"
    )
    when = escape(str(env.get("started", ""))[:10])
    style = files(__package__ or "").joinpath("style.css").read_text(encoding="utf-8")
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(r["recipe"])}: {escape(answer.title)}</title>
<style>{style}</style></head><body>
<header class="top"><p class="kicker">{kicker} · {when}</p>
<div class="answer {answer.verdict}">{answer.html}</div>
{f'<ul class="stamps">{stamps}</ul>' if stamps else ""}
<nav>{menu}</nav></header>
<main>{body}</main>
<footer>omnipatch {escape(r.get("versions", {}).get("omnipatch", ""))}. A research tool, not a medical device.</footer>
</body></html>
"""


# ---- sections -------------------------------------------------------------------------------------------------


def _results(run: _Run) -> Section:
    runs = {(row["seed"], row["fold"]) for row in run.results["rows"]}
    seeds, folds = len({s for s, _ in runs}), run.results["split"]["folds"]
    lead = (
        f"Test side of the {run.results['split']['kind']} split by {run.results['split']['group']}; means over {seeds} "
        f"seed{'s' * (seeds > 1)}{f' and {folds} folds' if folds > 1 else ''}. Small figures are 95 % intervals by "
        "resampling subjects: they say how far another set of people could move a score."
    )
    html = _lead(lead) + tables.results_table(run.results)
    html += _figure(
        figures.forest(run.results, run.metric),
        "Dot: mean. Band: 95 % interval over subjects. Ticks: single runs. The controls share the encoder's size, the "
        "windows, the labels and the schedule.",
    )
    also = [f"{a['name']} ({words.metric_label(run.metric)} {a['metrics'][run.metric]:.3f}, seed {a['seed']})"
            for a in run.facts.get("also", []) if run.metric in a["metrics"]]  # fmt: skip
    if also:
        html += _note(f"Hand features use the learner that validation subjects prefer. Not chosen: {', '.join(also)}.")
    return "results", "Results", html + "".join(_note(note) for note in run.facts.get("notes", []))


def _difference(run: _Run) -> Section:
    svg = figures.effects(run.facts.get("differences", []), run.metric)
    text = (
        "Pretrained minus its control on the same subjects and seeds, with 95 % intervals over subjects. An interval "
        "that touches zero means these data cannot tell the two apart."
    )
    return "difference", "Did pretraining help?", _lead(text) + _figure(svg) if svg else ""


def _classes(run: _Run) -> Section:
    html = tables.class_table(run.results)
    if not html:
        return "classes", "Classes", ""
    shown = words.featured(run.results)
    if shown:
        name = words.line_label(shown[0])
        matrix = figures.confusion(run.facts.get("confusion", []), run.classes)
        left = _figure(matrix, f"Confusion of {name}: share of the true class, and mean number of items.")
        html += f'<div class="pair">{left}{_roc(run)}</div>'
    return "classes", "Classes", html


def _roc(run: _Run) -> str:
    if "label_0" not in run.arrays:
        return ""
    shown = words.featured(run.results)
    other = _prediction(run, 1) if len(shown) > 1 and shown[1][0] != "hand-features" else None
    svg = figures.roc(*_prediction(run, 0), other, run.classes)
    dashed = f" Dashed: {words.line_label(shown[1])}." if other else ""
    return _figure(svg, f"One class against the rest, {words.line_label(shown[0])}, first seed.{dashed}")


def _trust(run: _Run) -> Section:
    shown = words.featured(run.results)
    curves = {line: _prediction(run, i) for i, line in enumerate(shown) if f"label_{i}" in run.arrays}
    left = _figure(
        figures.calibration(curves),
        "On the diagonal, a model that is 80 % sure is right in 80 % of cases; below it the model is too sure. Lower "
        "panel: how often it is that sure.",
    )
    right = _figure(
        figures.by_group(run.facts.get("records", [])),
        "One dot a test record, joined over models; bar: median. A mean hides whom a model fails.",
    )
    return "trust", "Calibration and spread", f'<div class="pair">{left}{right}</div>' if left or right else ""


def _records(run: _Run) -> Section:
    html = tables.record_table(run.facts.get("records", []), run.classes)
    if not html:
        return "records", "Record by record", ""
    without = run.facts.get("without", [])
    if without:
        html += "<h3>Without the subject that holds most of a class</h3>"
        html += tables.without_table(without, run.metric)
        html += _note("Where one person holds most of a class, the score of that class is mostly that person's score.")
    return "records", "Record by record", html


def _map(run: _Run) -> Section:
    text = (
        "Frozen features of test items, unseen in pretraining, laid out by t-SNE. Good features group by class "
        "(left) and mix subjects (right). Distances between far groups mean nothing."
    )
    svg = pictures.embedding_map(run.arrays, run.classes)
    return "map", "What the encoder sees alike", _lead(text) + _figure(svg) if svg else ""


def _pretraining(run: _Run) -> Section:
    curves = _figure(
        pictures.training(run.metrics),
        "Spread: standard deviation over windows as a share of their size (0 = collapse). Effective rank: how many "
        "directions are in use. A falling loss alone says nothing about quality.",
    )
    hidden = "window_hidden" in run.arrays
    what = (
        "Shaded: hidden from the encoder and to be predicted."
        if hidden
        else "Dark: the window; colour: augmented views."
    )
    window = _figure(pictures.example_window(run.arrays), f"One training window as the objective sees it. {what}")
    return "pretraining", "Pretraining", curves + window


def _data(run: _Run) -> Section:
    data = run.facts.get("data")
    if not data:
        return "data", "Data", ""
    pairs = [
        ("data set", data["name"]), ("licence", data["licence"] or "not stated"), ("task", run.facts["task"]),
        ("recordings", data["recordings"]), ("subjects", data["subjects"]), ("windows", data["windows"]),
        ("patches a window (median)", f"{data['patches']:.0f}"),
        ("values a patch", " × ".join(map(str, data["patch_shape"]))),
    ]  # fmt: skip
    html = tables.facts(pairs)
    rows = [[escape(s["side"]), str(s["groups"]), str(s["windows"]), str(s["items"])] for s in data["sides"]]
    html += tables.table(["side", f"{run.results['split']['group']}s", "windows", "labelled items"], rows)
    html += _figure(figures.share_bars(data["sides"], run.classes), "Classes of the labelled items on each side.")
    html += f"<h3>Skipped recordings: {len(data['skipped'])}</h3>"
    html += tables.skipped_table(data["skipped"]) if data["skipped"] else _note("Every recording could be read.")
    bad = sum(len(sensors) for sensors in data["quality"].values())
    html += f"<h3>Sensors not to be trusted: {bad}</h3>"
    html += tables.quality_table(data["quality"]) if bad else _note("No flat, clipped or missing sensor was found.")
    return "data", "Data", html


def _repeat(run: _Run) -> Section:
    env, seconds = run.environment, run.results["seconds"]
    pairs = [
        ("time, pretraining", _time(seconds["pretrain"])), ("time, evaluation", _time(seconds["downstream"])),
        ("time, total", _time(seconds["total"])), ("processor", env.get("gpu") or env.get("cpu", "")),
        ("cores, threads", f"{env.get('cores', '')}, {env.get('threads', '')}"),
        ("commit", env.get("commit") or "release"),
    ]  # fmt: skip
    command = env.get("command", "")
    html = tables.facts(pairs) + f"<h3>The same run again</h3><pre>{escape(command)}</pre>"
    html += _note("or with the merged configuration below: omnipatch run config.yaml")
    html += f"<details><summary>Configuration</summary><pre>{escape(run.config)}</pre></details>"
    versions = "\n".join(f"{name} {version}" for name, version in run.results["versions"].items())
    return (
        "repeat",
        "How to repeat",
        html + f"<details><summary>Versions</summary><pre>{escape(versions)}</pre></details>",
    )


_SECTIONS = (_results, _difference, _classes, _trust, _records, _map, _pretraining, _data, _repeat)


# ---- pieces ---------------------------------------------------------------------------------------------------


def _prediction(run: _Run, i: int) -> tuple[Any, Any]:
    return run.arrays[f"label_{i}"], run.arrays[f"probability_{i}"]


def _figure(svg: str, caption: str = "") -> str:
    text = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f"<figure>{svg}{text}</figure>" if svg else ""


def _lead(text: str) -> str:
    return f'<p class="lead">{escape(text)}</p>'


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>'


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CorruptFileError("cannot be read", source=path, got=str(error)) from error
