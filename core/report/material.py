"""What a page needs of a finished run, in one file: `report.npz` (numbers as arrays, everything else as JSON)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import damaged
from . import words
from .window import window_arrays

if TYPE_CHECKING:
    from ..downstream.rows import Evaluation
    from ..prepared import Prepared
    from ..settings import Settings

FILE = "report.npz"
_MAP_POINTS = 900  # points of an embedding map: each is drawn twice, in vector graphics


@dataclass(frozen=True)
class Material:
    """facts: plain data (see `collect`); arrays: predictions, maps and the example window."""

    facts: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        from ..train.atomic import replacing

        content: dict[str, Any] = {**self.arrays, "facts": np.array(json.dumps(self.facts, default=str))}
        with replacing(folder / FILE) as file:
            np.savez_compressed(file, **content)

    @classmethod
    def load(cls, folder: Path) -> Material:
        """Read a run's material; an absent file gives an empty one, a damaged file is a CorruptFileError."""
        path = folder / FILE
        if not path.is_file():
            return cls()
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files if name != "facts"}
                return cls(json.loads(str(stored["facts"])), arrays)
        except Exception as error:  # zip, JSON and dtype faults all mean the same
            raise damaged(path, error) from error


def collect(
    folder: Path,
    settings: Settings,
    prepared: Prepared,
    results: dict[str, Any],
    evaluation: Evaluation | None = None,
    differences: Sequence[dict[str, Any]] = (),
    stamps: Sequence[str] = (),
) -> None:
    """Gather facts and arrays of a run and save them in its folder. `evaluation` None: it was only pretrained."""
    store, splits, recipe = prepared.store, prepared.splits, settings.recipe
    shown = words.featured(results)
    notes = [splits[0].stamp, settings.modality.stamp, prepared.sources.note]
    facts: dict[str, Any] = {
        "run": {key: value for key, value in results.items() if key not in ("rows", "summary")},
        "description": recipe.description,
        "classes": list(evaluation.classes) if evaluation else [],
        "task": store.task.name if store.task else "",
        "axis": store.spec.axes[0],
        "differences": list(differences),
        "stamps": [*stamps, *(note for note in notes if note)],
        "notes": evaluation.notes if evaluation else [],
        "data": {
            "name": prepared.sources.name,
            "licence": prepared.sources.licence,
            "recordings": len(prepared.sources),
            "windows": len(store),
            "subjects": len(store.subjects),
            "patches": float(np.median(store.lengths)),
            "patch_shape": list(store.spec.patch_shape),
            "sides": _sides(prepared, evaluation),
            "skipped": [{"record": s.record, "reason": s.reason} for s in store.skipped],
            "quality": store.quality,
            "sensors": not store.spec.vocabulary,
        },
    }
    first = folder if len(splits) == 1 else folder / "folds" / "0"
    arrays = window_arrays(settings, prepared, first / "checkpoints")
    if evaluation is not None:
        facts |= {"also": [{"name": name, **row.to_json()} for name, row in evaluation.also]}
        decided = shown if evaluation.unit != "ranking" else []  # a ranking decides nothing
        facts |= _tables(evaluation, decided)
        arrays |= {**_predictions(evaluation, decided), **_maps(evaluation, prepared)}
    Material(facts, arrays).save(folder)


def _sides(prepared: Prepared, evaluation: Evaluation | None) -> list[dict[str, Any]]:
    """Groups and windows a side of the first fold, and its labelled items where they were evaluated."""
    store, split = prepared.store, prepared.splits[0]
    out = []
    for side in ("train", "validation", "test"):
        entry: dict[str, Any] = {
            "side": side, "groups": len(getattr(split, side)), "windows": len(split.windows(store, side)),
        }  # fmt: skip
        if evaluation is not None and evaluation.unit != "ranking":
            items = store.items()
            label = items.label[split.items(items, store, side)]
            entry["items"] = len(label)
            if evaluation.classes:
                counts = label.sum(axis=0) if label.ndim == 2 else np.bincount(label, minlength=len(evaluation.classes))
                entry["counts"] = dict(zip(evaluation.classes, counts.astype(int).tolist(), strict=True))
        out.append(entry)
    return out


def _tables(evaluation: Evaluation, shown: list[words.Line]) -> dict[str, Any]:
    from ..downstream.scoring import boundary_table
    from ..downstream.tables import by_record, confusion, without_largest

    if not shown:
        return {"records": [], "without": [], "confusion": [], "boundaries": []}
    first = [evaluation.predictions[row.key] for row in evaluation.runs(*shown[0])]
    return {
        "records": [{"line": list(line), "entries": by_record(evaluation, line)} for line in shown],
        "without": without_largest(evaluation, shown[0]),
        "confusion": confusion(evaluation, shown[0]).tolist(),
        "boundaries": boundary_table(first, evaluation.classes),
    }


def _predictions(evaluation: Evaluation, shown: list[words.Line]) -> dict[str, np.ndarray]:
    """Labels and probabilities of the first seed of every featured line, folds joined."""
    arrays: dict[str, np.ndarray] = {}
    for i, line in enumerate(shown):
        rows = evaluation.runs(*line)
        rows = [row for row in rows if row.seed == rows[0].seed]
        predictions = [evaluation.predictions[row.key] for row in rows]
        arrays[f"label_{i}"] = np.concatenate([p.label for p in predictions])
        arrays[f"probability_{i}"] = np.concatenate([p.probability for p in predictions]).astype(np.float32)
    return arrays


def _maps(evaluation: Evaluation, prepared: Prepared) -> dict[str, np.ndarray]:
    """Two-dimensional maps of frozen features of test items, with class and subject."""
    from ..data.numbers import is_number, number_bins
    from ..downstream.targets import even_sample

    arrays: dict[str, np.ndarray] = {}
    items = prepared.store.items()
    for model, (features, index) in evaluation.embedding.items():
        label = items.label[index]
        label = number_bins(label) if is_number(label) else label.argmax(axis=1) if label.ndim == 2 else label
        kept = even_sample(label, _MAP_POINTS)
        arrays[f"map_{model}"] = _project(features[kept])
        arrays[f"map_{model}_label"] = label[kept]
        arrays[f"map_{model}_subject"] = items.subject[index][kept]
    return arrays


def _project(features: np.ndarray) -> np.ndarray:
    """[n, 2] t-SNE of standardised features after PCA; PCA alone for very few items."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    x = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-6)
    n = len(x)
    if n < 3:
        return np.zeros((n, 2), np.float32)
    x = PCA(min(32, n, x.shape[1]), random_state=0).fit_transform(x)
    if n < 30:
        return np.pad(x[:, :2], ((0, 0), (0, 2 - min(2, x.shape[1])))).astype(np.float32)
    return TSNE(perplexity=min(30, n / 4), init="pca", random_state=0, n_jobs=1).fit_transform(x).astype(np.float32)
