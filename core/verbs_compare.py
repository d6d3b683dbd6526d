"""The verb `compare`: paired differences between finished runs, on screen and as a file."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .console import Voice
from .errors import InputError
from .output_file import output_file

if TYPE_CHECKING:
    from .downstream.compare import Comparison

_FORMS = (".csv", ".json")


def compare(given: argparse.Namespace, overrides: list[str]) -> None:
    """Differences of all further runs to the first: a table of the main metric, and all metrics in a file."""
    from .downstream.compare import compare as paired
    from .downstream.predictions import Predictions
    from .report.words import metric_label, primary_metric

    target = None
    if given.out is not None:
        target = output_file(given.out, overwrite=given.overwrite, what="comparisons", forms=_FORMS)
    names = _names(given.runs)
    voice = Voice(given.quiet)
    voice.step(f"comparing {', '.join(names)}")
    runs = {name: Predictions.load(Path(run)) for name, run in zip(names, given.runs, strict=True)}
    found = paired(runs, shared=given.shared, rows=given.row, metrics=given.metric)
    main = primary_metric({"summary": found.entries})
    voice.result(
        f"{found.subjects} test subjects; change: to {found.reference}, with 95 % intervals of the paired difference "
        "over subjects"
    )
    for metric in given.metric or [main]:
        entries = [entry for entry in found.entries if entry["metric"] == metric]
        voice.table(["model", "protocol", "labels", "run", metric_label(metric), "change", ""], _lines(entries))
    for note in found.notes:
        voice.result(f"Note: {note}.")
    if target is not None:
        _write(target, found)
        voice.result(f"{target}: {len(found.entries)} entries, {len(found.metrics)} metrics")
    elif not given.metric and len(found.metrics) > 1:
        others = ", ".join(metric for metric in found.metrics if metric != main)
        voice.step(f"other metrics by --metric, or all with --out FILE.csv: {others}")


def _names(runs: Sequence[str]) -> list[str]:
    """What runs are called: their folders' names, or all of their paths where two are alike."""
    paths = [Path(run).resolve() for run in runs]
    for path in paths:
        if paths.count(path) > 1:
            raise InputError("the same run is named twice", source=path, fix="compare it with another run")
    names = [path.name for path in paths]
    return names if len(set(names)) == len(names) else [str(Path(run)) for run in runs]


def _lines(entries: Sequence[dict[str, Any]]) -> list[list[str]]:
    digits = 4 if any(entry["protocol"] == "ranking" for entry in entries) else 3  # as in the runs' own tables
    return [
        [
            entry["model"], entry["protocol"], f"{entry['label_fraction']:.0%}", entry["run"],
            _spelled(entry["mean"], digits), *_change(entry, digits),
        ]
        for entry in entries
    ]  # fmt: skip


def _spelled(value: float | None, digits: int, sign: str = "") -> str:
    return "n/a" if value is None else f"{value:{sign}.{digits}f}"


def _change(entry: dict[str, Any], digits: int) -> tuple[str, str]:
    """The difference with its interval, and what it says."""
    if entry["change"] is None:
        return "", ""
    low, high = entry["change_low"], entry["change_high"]
    if low is None:
        return _spelled(entry["change"], digits, "+"), "has no interval over subjects"
    same = "the same" if low == high == 0 else "no clear difference"
    says = "clearly higher" if low > 0 else "clearly lower" if high < 0 else same
    change, low, high = (_spelled(entry[key], digits, "+") for key in ("change", "change_low", "change_high"))
    return f"{change} [{low}, {high}]", says


def _write(target: Path, found: Comparison) -> None:
    from .run_folder import write_csv, write_json

    if target.suffix == ".json":
        write_json(target, found.to_json())
        return
    head = list(found.entries[0])
    write_csv(target, head, ([entry[name] for name in head] for entry in found.entries))
