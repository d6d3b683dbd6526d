"""The sections of the page in reading order: each takes the story of a run and gives its HTML, "" = nothing to say."""

from __future__ import annotations

from html import escape

from ..data.numbers import BINS
from ..downstream.ranking_table import ranking_lines
from . import figures, hidden, pictures, places, tables, words
from .story import Story

Section = tuple[str, str, str]  # anchor, title, HTML


def _results(run: Story) -> Section:
    if not run.results["rows"]:
        return "results", "Results", ""
    runs = {(row["seed"], row["fold"]) for row in run.results["rows"]}
    seeds, folds = len({s for s, _ in runs}), run.folds
    lead = (
        f"Test side of the {run.results['split']['kind']} split by {run.results['split']['group']}; means over {seeds} "
        f"seed{'s' * (seeds > 1)}{f' and {folds} folds, each scored by itself' if folds > 1 else ''}. In small: "
        "95 % intervals by resampling subjects: they say how far another set of people could move a score."
    )
    html = _lead(lead) + tables.results_table(run.results)
    html += _figure(
        figures.forest(run.results, run.metric),
        "Dot: mean. Band: 95 % interval over subjects. Ticks: single runs. The controls share the encoder's size, the "
        "windows, the labels and the schedule.",
    )
    beside = [words.pooled(run.results), words.layer_weights(run.results), words.subject_leak(run.results)]
    notes = [*(f"{text}." for text in beside if text), *run.facts.get("notes", [])]
    return "results", "Results", html + _also(run) + "".join(_note(note) for note in notes)


def _also(run: Story) -> str:
    """Scores beside the table's: the hand features' other learner, and what encoders reach without what joins them."""
    hand: dict[str, list[float]] = {}
    encoder: dict[str, list[float]] = {}
    moved: dict[str, list[float]] = {}
    for entry in run.facts.get("also", []):
        score = entry["metrics"].get(run.metric)
        if score is None:
            continue
        line = words.line_label(words.line_of(entry))
        if entry["model"] == "hand-features":
            hand.setdefault(entry["name"], []).append(score)
        elif entry["name"] == "fine-tuned alone":
            moved.setdefault(line, []).append(score)
        else:
            encoder.setdefault(line, []).append(score)
    metric = words.metric_label(run.metric)
    html = ""
    for text, scores in (
        (
            "Other learners on the same hand features; which of them makes the row is fixed beforehand, not by a score",
            hand,
        ),
        ("Heads without the hand features", encoder),
        ("Fine-tuned encoders alone, without what they are pooled with", moved),
    ):
        told = [f"{name} ({metric} {sum(s) / len(s):.3f} over {len(s)} run{'s' * (len(s) > 1)})"
                for name, s in scores.items()]  # fmt: skip
        html += _note(f"{text}: {', '.join(told)}.") if told else ""
    return html


def _difference(run: Story) -> Section:
    svg = figures.effects(run.facts.get("differences", []), run.metric)
    text = (
        "Pretrained minus its control on the same subjects and seeds, with 95 % intervals over subjects. An interval "
        "that touches zero means these data cannot tell the two apart."
    )
    return "difference", "Did pretraining help?", _lead(text) + _figure(svg) if svg else ""


def _rankings(run: Story) -> Section:
    entries, title = run.results.get("ranking", []), "All that ranks"
    if not entries:
        return "rankings", title, ""
    head, rows = ranking_lines(entries)
    text = (
        "By the score on validation, which every choice was made by; the others are those of the test. Change: to the "
        "best ranking without training, for the same people. Blended: with one of those, at the weight given."
    )
    return "rankings", title, _lead(text) + tables.table(head, [[escape(cell) for cell in row] for row in rows])


def _classes(run: Story) -> Section:
    html = tables.class_table(run.results)
    if not html:
        return "classes", "Classes", ""
    shown = words.featured(run.results)
    if shown:
        name = words.line_label(shown[0])
        matrix = figures.confusion(run.facts.get("confusion", []), run.classes)
        left = _figure(matrix, f"Confusion of {name}: share of the true class, and mean number of items.")
        html += f'<div class="pair">{left}{_roc(run)}</div>'
        html += _boundaries(run, name)
    return "classes", "Classes", html


def _boundaries(run: Story, line: str) -> str:
    """Onsets and offsets of a dense task."""
    entries = run.facts.get("boundaries", [])
    if not entries:
        return ""
    text = (
        f"Boundaries of {line}, over all seeds. An onset or offset is found when one of its class is predicted within "
        "the task's tolerance; the error, mean and standard deviation of those found, is predicted minus true."
    )
    return f"<h3>Onsets and offsets</h3>{_note(text)}{tables.boundary_table(entries, run.facts['axis'])}"


def _roc(run: Story) -> str:
    if "label_0" not in run.arrays:
        return ""
    shown = words.featured(run.results)
    other = run.prediction(1) if len(shown) > 1 and shown[1][0] != "hand-features" else None
    svg = figures.roc(*run.prediction(0), other, run.classes)
    dashed = f" Dashed: {words.line_label(shown[1])}." if other else ""
    return _figure(svg, f"One class against the rest, {words.line_label(shown[0])}, first seed.{dashed}")


def _given(run: Story) -> Section:
    entries = [e for e in run.results.get("by_given", []) if e["label_fraction"] == 1.0]
    html = tables.given_table(entries, run.metric)
    text = (
        f"{words.metric_label(run.metric)} under each thing that is given. All share one encoder, each has a "
        "head or model of its own, and the scores above are means over them. Small: 95 % interval over subjects."
    )
    return "given", "One by one", _lead(text) + html if html else ""


def _trust(run: Story) -> Section:
    shown = words.featured(run.results)
    curves = {line: run.prediction(i) for i, line in enumerate(shown) if f"label_{i}" in run.arrays}
    if not run.classes:
        text = "Predicted against true number of every decision, first seed. On the line they agree."
        html = _figure(figures.agreement(curves), text)
        return "trust", "Predicted and true", html
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


def _sensors(run: Story) -> Section:
    entries = run.results.get("fewer_sensors", [])
    metric = "auroc" if any(e["metric"] == "auroc" for e in entries) else run.metric
    html = tables.sensor_table(entries, metric)
    text = (
        f"{words.metric_label(metric)} of the same trained models on the test records without some of their sensors, "
        "chosen at random and missing from the recording itself. Small: change against all sensors with its 95 % "
        "interval over subjects, and the mean of the worst choice."
    )
    return "sensors", "With fewer sensors", _lead(text) + html if html else ""


def _occlusion(run: Story) -> Section:
    table, title = run.results.get("occlusion"), "What decisions rest on"
    if not table:
        return "occlusion", title, ""
    line = words.line_label(words.line_of(table))
    lead = (
        f"{line[0].upper()}{line[1:]}, first seed, on {table['items']} test items of {table['subjects']} subjects: how "
        "far the log-probability of the right class falls when something is hidden. 0.1 means that the right class "
        "becomes a tenth less probable. Below zero, what was hidden spoke for another class."
    )
    largest = [(name, words.largest_falls(table, "places", i)) for i, name in enumerate(table["classes"]) if i]
    most = "; ".join(f"{name}: {told}" for name, told in largest if told)
    html = _figure(
        places.place_maps(table, run.seeing) or places.bars(table, "places"),
        f"All tokens of one place hidden.{f' Most needed for {most}.' if most else ''} What other places show as well "
        "can be hidden without loss: a small fall says not needed, not unused.",
    )
    most = words.largest_falls(table, "parts")
    html += _figure(
        places.bars(table, "parts"),
        f"One part of all tokens taken away.{f' Most needed over all classes: {most}.' if most else ''} Lines: 95 % "
        "interval over subjects.",
    )
    return "occlusion", title, _lead(lead) + html if html else ""


def _few_labels(run: Story) -> Section:
    entries = run.results.get("few_labels", [])
    metric = run.metric if any(e["metric"] == run.metric for e in entries) else "accuracy"
    html = tables.few_labels_table(entries, metric)
    text = (
        f"{words.metric_label(metric)} of models that learned from so many labels of each class and from no others, "
        "drawn at random several times; a label is one decision of the task. Every model of a draw has the same "
        "labels, and no further ones to choose settings on. Small: 95 % interval over subjects, and the paired "
        "difference to the control."
    )
    return "few", "From few labels", _lead(text) + html if html else ""


def _longer(run: Story) -> Section:
    entries = run.results.get("longer_decisions", [])
    html = tables.longer_table(
        entries, [m for m in ("balanced_accuracy", "auroc") if any(e["metric"] == m for e in entries)]
    )
    text = (
        "The same predictions, those of all windows that begin in one stretch of a record taken together by their mean "
        "log-odds. Small: 95 % interval over subjects."
    )
    return "longer", "Longer decisions", _lead(text) + html if html else ""


def _records(run: Story) -> Section:
    html = tables.record_table(run.facts.get("records", []), run.classes)
    if not html:
        return "records", "Record by record", ""
    without = run.facts.get("without", [])
    if without:
        html += "<h3>Without the subject that holds most of a class</h3>"
        html += tables.without_table(without, run.metric)
        html += _note("Where one person holds most of a class, the score of that class is mostly that person's score.")
    return "records", "Record by record", html


def _map(run: Story) -> Section:
    text = (
        "Frozen features of test items, unseen in pretraining, laid out by t-SNE. Good features group by class "
        "(left) and mix subjects (right). Distances between far groups mean nothing."
    )
    svg = pictures.embedding_map(run.arrays, run.classes or BINS)
    return "map", "What the encoder sees alike", _lead(text) + _figure(svg) if svg else ""


def _pretraining(run: Story) -> Section:
    curves = _figure(
        pictures.training(run.metrics),
        "Spread: standard deviation over windows as a share of their size (0 = collapse). Effective rank: how many "
        "directions are in use. A falling loss alone says nothing about quality.",
    )
    what = "Dark: the window; colour: augmented views."
    if "window_hidden" in run.arrays:
        what = "Blue: hidden from the encoder and to be predicted."
    if "window_reconstruction" in run.arrays:
        what += " Colour: what the decoder makes of it, drawn with each patch's own mean and size."
    own = pictures.own_window(run.arrays, run.seeing)
    if own and "window_rebuilt" in run.arrays:
        what += " Other colour: what the decoder makes of it."
    window = _figure(own or pictures.example_window(run.arrays), f"One window as the objective sees it. {what}")
    return "pretraining", "Pretraining", curves + window + _hidden_patches(run)


def _hidden_patches(run: Story) -> str:
    share = hidden.explained(run.arrays)
    told = f"{share:.0%} was predicted here" if share > 0 else "nothing was predicted here"
    text = f"Patches hidden in this window. Of what sets them apart from the mean of those seen, {told}."
    return _figure(hidden.hidden_values(run.arrays, run.seeing), text)


def _data(run: Story) -> Section:
    data = run.facts.get("data")
    if not data:
        return "data", "Data", ""
    pairs = [
        ("data set", data["name"]), ("licence", data["licence"] or "not stated"),
        ("task", run.facts["task"] or "none, there are no labels"),
        ("recordings", data["recordings"]), ("subjects", data["subjects"]), ("windows", data["windows"]),
        ("patches a window (median)", f"{data['patches']:.0f}"),
        ("values a patch", " × ".join(map(str, data["patch_shape"]))),
    ]  # fmt: skip
    html = tables.facts(pairs)
    html += _sides(run, data["sides"])
    html += f"<h3>Skipped recordings: {len(data['skipped'])}</h3>"
    html += tables.skipped_table(data["skipped"]) if data["skipped"] else _note("Every recording could be read.")
    return "data", "Data", html + (_quality(data["quality"]) if data.get("sensors", True) else "")


def _quality(quality: dict[str, dict[str, str]]) -> str:
    bad = sum(len(sensors) for sensors in quality.values())
    html = tables.quality_table(quality) if bad else _note("No flat, clipped or missing sensor was found.")
    return f"<h3>Sensors not to be trusted: {bad}</h3>{html}"


def _sides(run: Story, sides: list[dict]) -> str:
    head = ["side", f"{run.results['split']['group']}s", "windows", "labelled items"]
    rows = [[escape(s["side"]), *(str(s[key]) for key in ("groups", "windows", "items") if key in s)] for s in sides]
    html = tables.table(head[: len(rows[0])], rows)
    counted = [s for s in sides if "counts" in s]
    html += _figure(figures.share_bars(counted, run.classes), "Classes of the labelled items on each side.")
    return html + (_note(f"The first of {run.folds} folds.") if run.folds > 1 else "")


def _leaks(run: Story) -> Section:
    entries, title = run.results.get("leaks", []), "What the split lets slip"
    if not entries:
        return "leaks", title, ""
    html = _lead("People are on all sides of this split, what they took is not: what does the rest tell of it?")
    for entry in entries:
        html += "".join(_note(sentence) for sentence in entry["sentences"])
        known = [(name.replace("_", " "), _number(value)) for name, value in entry["numbers"].items()]
        html += (f"<h3>{escape(entry['record'])}</h3>" if len(entries) > 1 else "") + tables.facts(known)
    return "leaks", title, html


def _number(value: float | int | None) -> str:
    return "not known" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


def _repeat(run: Story) -> Section:
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


SECTIONS = (
    _results, _difference, _rankings, _given, _few_labels, _classes, _trust, _longer, _sensors, _records, _occlusion,
    _map, _pretraining, _data, _leaks, _repeat,
)  # fmt: skip


# ---- pieces ---------------------------------------------------------------------------------------------------


def _figure(svg: str, caption: str = "") -> str:
    text = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure><div class="scroll">{svg}</div>{text}</figure>' if svg else ""


def _lead(text: str) -> str:
    return f'<p class="lead">{escape(text)}</p>'


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>'


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
