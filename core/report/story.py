"""Everything a page is made of, read from a run folder."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from ..errors import OmnipatchError, damaged
from ..seeing import Seeing
from . import words
from .material import Material


class Story:
    """A run as its report tells it.

    results: content of `results.json`; without rows and summary for a run that was only pretrained.
    environment, config, metrics: the run's own files, empty where there is none.
    facts, arrays: see `material.collect`.
    """

    def __init__(self, folder: Path) -> None:
        from ..train.metrics_log import read_rows

        material = Material.load(folder)
        self.facts, self.arrays = material.facts, material.arrays
        self.results: dict[str, Any] = {**self.facts.get("run", {}), "rows": [], "summary": []}
        if (folder / "results.json").is_file():
            self.results = _json(folder / "results.json")
        self.environment: dict[str, Any] = _json(folder / "env.json") if (folder / "env.json").is_file() else {}
        config = folder / "config.yaml"
        self.config = config.read_text(encoding="utf-8") if config.is_file() else ""
        first = folder if (folder / "metrics.csv").is_file() else folder / "folds" / "0"
        self.metrics = read_rows(first / "metrics.csv")
        self.metric = words.primary_metric(self.results)
        self.classes: list[str] = self.facts.get("classes", [])
        self.folds: int = self.results["split"]["folds"]

    @cached_property
    def seeing(self) -> Seeing:
        """How the run's modality names and draws its places; a plain one where it is not installed here."""
        from ..settings import build_modality

        try:
            return build_modality(yaml.safe_load(self.config)["modality"]).seeing()
        except (OmnipatchError, yaml.YAMLError, TypeError, KeyError):
            return Seeing()

    def prediction(self, i: int) -> tuple[Any, Any]:
        """Labels and probabilities of the i-th featured line."""
        return self.arrays[f"label_{i}"], self.arrays[f"probability_{i}"]


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise damaged(path, error) from error
