"""Prompts for zero-shot classification: data files that say in words what a class looks like.

atrial fibrillation:
  prompts: ["Atrial fibrillation.", "Atrial fibrillation, no P waves."]
  classes: [atrial fibrillation, AFIB]   # what tasks call it; default: the name of the entry
  against: sinus rhythm                  # the class to tell it from; default: everything else
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..compose import resolve_objective
from ..config import Recipe
from ..errors import InputError, nearest

_KEYS = ("prompts", "classes", "against")


@dataclass(frozen=True)
class Prompt:
    """One class in words. against: name of the entry it is told from, "" = all other records."""

    name: str
    prompts: tuple[str, ...]
    classes: tuple[str, ...]
    against: str = ""


@dataclass(frozen=True)
class PromptSet:
    """Prompts by class name."""

    name: str
    entries: Mapping[str, Prompt]


def read_prompts(path: Path | str) -> PromptSet:
    """Read one YAML file. Raises InputError that names the entry and key."""
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError("prompts cannot be read", source=path, got=" ".join(str(error).split())) from error
    if not isinstance(content, dict) or not content:
        raise InputError("no prompts here", source=path, expected="class names with lists of prompts")
    entries = {str(name): _entry(path, str(name), entry) for name, entry in content.items()}
    for entry in entries.values():
        if entry.against and entry.against not in entries:
            raise InputError(
                "unknown class", source=path, field=f"{entry.name}.against", got=entry.against,
                fix=nearest(entry.against, entries),
            )  # fmt: skip
    return PromptSet(path.stem, entries)


def find_prompts(wanted: str, known: Mapping[str, Path]) -> PromptSet:
    """A prompt set by name or by path of a YAML file."""
    if wanted in known:
        return read_prompts(known[wanted])
    if Path(wanted).suffix in (".yaml", ".yml"):
        return read_prompts(wanted)
    raise InputError(
        f"unknown prompts {wanted!r}", field="evaluate.zero_shot", expected=", ".join(known) or "the path of a file",
        fix=nearest(wanted, known) if known else "give a file",
    )  # fmt: skip


def _entry(path: Path, name: str, entry: Any) -> Prompt:
    entry = {"prompts": entry} if isinstance(entry, list) else entry
    if not isinstance(entry, dict):
        raise InputError("expected prompts", source=path, field=name, got=entry, expected="a list of sentences")
    for key in entry:
        if key not in _KEYS:
            raise InputError(f"unknown key {key!r}", source=path, field=name, fix=nearest(str(key), _KEYS))
    prompts, classes = (_texts(path, f"{name}.{key}", entry.get(key, standard))
                        for key, standard in (("prompts", []), ("classes", [name])))  # fmt: skip
    if not prompts:
        raise InputError("no prompts", source=path, field=name, expected="at least one sentence")
    return Prompt(name, prompts, classes, str(entry.get("against", "")))


def _texts(path: Path, field: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(text, str) and text.strip() for text in value):
        raise InputError("expected a list of texts", source=path, field=field, got=value)
    return tuple(value)


def check_zero_shot(recipe: Recipe, known: Mapping[str, Path]) -> None:
    """Raises InputError when a recipe asks for prompts that do not exist, or of an encoder that learns no words."""
    for wanted in recipe.evaluate.zero_shot:
        find_prompts(wanted, known)
    losses = [term["loss"] for term in resolve_objective(recipe.objective)["terms"].values()]
    names = {loss if isinstance(loss, str) else loss["name"] for loss in losses}
    if recipe.evaluate.zero_shot and "report_contrast" not in names:
        raise InputError(
            "prompts need an encoder that was aligned with texts", field="evaluate.zero_shot",
            got=f"objective {recipe.objective.get('name')}", fix="leave it out, or use an objective such as report",
        )  # fmt: skip
