"""Every decision of every row of a run, kept in one file of its folder (`predictions.npz`), for `omnipatch compare`.

- Arrays that rows share (labels, subjects and records of one fold) are stored once; the rest is float32, compressed.
- Plain arrays and JSON: reading it executes nothing.
- Names of test subjects and records are in it, those of subjects as in `split.json`: whom that file may be shown, this
  one may be, too.
- Scores beside the rows (fewer sensors, longer decisions, few labels) are not kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, damaged
from ..train.atomic import replacing
from .rows import MODELS, RANKING, Evaluation, Prediction, Row
from .segments import Boundaries

FILE = "predictions.npz"
_OWN = ("label", "probability", "subject", "record", "item", "given")
_BOUNDARIES = ("code", "side", "outcome", "error", "item")
_NAMES = ("subjects", "records")


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a finished run decided. `evaluation` holds rows, predictions, classes, names, unit, given, ranked; no more.

    dataset, task: names of what was asked.
    """

    evaluation: Evaluation
    dataset: str
    task: str

    def save(self, folder: Path) -> None:
        """Write the file into a run folder."""
        found, pool = self.evaluation, _Pool()
        used = {name: _used(found, name.removesuffix("s")) for name in _NAMES}
        rows = [
            {"name": name, **row.to_json(), "arrays": pool.keep_all(_fields(_recoded(prediction, used)))}
            for name, row, prediction in _named(found)
        ]
        facts = {
            "dataset": self.dataset, "task": self.task, "unit": found.unit, "classes": found.classes,
            "given": found.given, "rows": rows,
        }  # fmt: skip
        names = {kind: np.array([getattr(found, kind)[code] for code in codes], str) for kind, codes in used.items()}
        content: dict[str, Any] = {"facts": np.array(json.dumps(facts)), **names, **pool.arrays}
        with replacing(folder / FILE) as file:
            np.savez_compressed(file, **content)

    @classmethod
    def load(cls, folder: Path) -> Predictions:
        """Read the file of a run folder.

        Raises InputError when there is none, CorruptFileError when it cannot be read.
        """
        path = folder / FILE
        if not path.is_file():
            raise InputError(
                "no decisions of a finished run are kept here", source=folder, expected=f"a run folder with {FILE}",
                fix="runs of earlier versions get one by omnipatch evaluate RECIPE --from RUN",
            )  # fmt: skip
        try:
            with np.load(path, allow_pickle=False) as stored:
                return cls._read(json.loads(str(stored["facts"])), {name: stored[name] for name in stored.files})
        except Exception as error:  # zip, JSON, dtype and missing keys all mean the same
            raise damaged(path, error) from error

    @classmethod
    def _read(cls, facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Predictions:
        subjects, records = (tuple(arrays[name].tolist()) for name in _NAMES)
        found = Evaluation(
            [], {}, {}, tuple(facts["classes"]), subjects, records, unit=facts["unit"], given=tuple(facts["given"])
        )
        for entry in facts["rows"]:
            keys = ("model", "protocol", "label_fraction", "seed", "fold", "metrics")
            row = Row(**{key: entry[key] for key in keys})
            prediction = _prediction({name: arrays[key] for name, key in entry["arrays"].items()})
            if row.model in MODELS:
                found.rows.append(row)
                found.predictions[row.key] = prediction
            if found.unit == RANKING:
                found.ranked.append((entry["name"], row, prediction))
        return cls(found, facts["dataset"], facts["task"])


class _Pool:
    """Arrays by short names, equal ones once."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self._names: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def keep_all(self, fields: Iterator[tuple[str, np.ndarray]]) -> dict[str, str]:
        """{field: name of its array}."""
        return {field: self._keep(array) for field, array in fields}

    def _keep(self, array: np.ndarray) -> str:
        array = np.ascontiguousarray(array, np.float32 if array.dtype == np.float64 else None)
        digest = hashlib.sha256(array.tobytes()).digest()
        name = self._names.setdefault((array.dtype.str, array.shape, digest), f"array_{len(self._names)}")
        self.arrays.setdefault(name, array)
        return name


def _named(found: Evaluation) -> list[tuple[str, Row, Prediction]]:
    """(name, row, prediction) of everything that was scored; rankings have names of their own."""
    return found.ranked or [(row.model, row, found.predictions[row.key]) for row in found.rows]


def _used(found: Evaluation, kind: str) -> np.ndarray:
    """Codes of the subjects or records that were tested, ascending."""
    codes = [np.unique(getattr(prediction, kind)) for _, _, prediction in _named(found)]
    used = np.unique(np.concatenate(codes)) if codes else np.zeros(0, np.int64)
    return used[used >= 0]


def _recoded(prediction: Prediction, used: Mapping[str, np.ndarray]) -> Prediction:
    """With codes into the names that are kept, -1 = unknown."""
    codes = {
        kind: np.where(old < 0, -1, np.searchsorted(used[f"{kind}s"], old))
        for kind, old in (("subject", prediction.subject), ("record", prediction.record))
    }
    kept = {name: getattr(prediction, name) for name in ("label", "probability", "item", "given")}
    return Prediction(**kept, **codes, boundaries=prediction.boundaries, values=prediction.values)


def _fields(prediction: Prediction) -> Iterator[tuple[str, np.ndarray]]:
    for name in _OWN:
        yield name, getattr(prediction, name)
    for metric, values in (prediction.values or {}).items():
        yield f"values/{metric}", values
    if (bounds := prediction.boundaries) is not None:
        for name in _BOUNDARIES:
            yield f"boundaries/{name}", getattr(bounds, name)
        yield "boundaries/background", np.array([bounds.background])


def _prediction(fields: Mapping[str, np.ndarray]) -> Prediction:
    values = {name.removeprefix("values/"): array for name, array in fields.items() if name.startswith("values/")}
    bounds = None
    if "boundaries/code" in fields:
        own = {name: fields[f"boundaries/{name}"] for name in _BOUNDARIES}
        bounds = Boundaries(**own, background=int(fields["boundaries/background"][0]))
    return Prediction(**{name: fields[name] for name in _OWN}, boundaries=bounds, values=values or None)
