"""Verbs that tell what there is: recipes, modalities; and the writer of a new modality's skeleton."""

from __future__ import annotations

import argparse

from .console import Voice
from .settings import shipped_recipes
from .settings_yaml import parse_yaml


def recipes(given: argparse.Namespace, overrides: list[str]) -> None:
    """Name and description of every shipped recipe."""
    rows = []
    for name, text in shipped_recipes().items():
        data = parse_yaml(text, f"{name}.yaml").data
        rows.append((name, data.get("modality", {}).get("name", ""), data.get("description", "")))
    voice = Voice(given.quiet)
    voice.table(("recipe", "modality", "what it does"), rows)
    voice.result("\nomnipatch run RECIPE starts one on embedded demo data")


def modalities(given: argparse.Namespace, overrides: list[str]) -> None:
    """Registered modalities, where they come from and whether they can be used."""
    from .registry import list_modalities

    entries = list_modalities(probe=True)
    rows = [(e.name, f"{e.distribution} {e.version}", e.problem or "ready") for e in entries]
    Voice(given.quiet).table(("modality", "from", "state"), rows)


def new_modality(given: argparse.Namespace, overrides: list[str]) -> None:
    """Write a package skeleton that passes the conformance kit."""
    from .scaffold import write_modality

    folder = write_modality(given.name, given.out)
    voice = Voice(given.quiet)
    voice.result(f"{folder}")
    voice.step(f"next: pip install -e {folder} && pytest {folder}")
