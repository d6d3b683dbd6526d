"""What a reader must know of a task before its scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..config import EvaluateConfig
from ..data.numbers import is_number
from .records import AVERAGED
from .targets import is_multilabel

if TYPE_CHECKING:
    from ..data.items import Items


def about_task(config: EvaluateConfig, items: Items) -> list[str]:
    """What was asked for and cannot be had of these items, and what their scores are means of."""
    notes = []
    if config.decisions_s and items.unit in AVERAGED:
        notes.append(f"no longer decisions: the task decides once a {items.unit} already")
    if items.given_names:
        notes.append(_about_given(items))
    if not is_number(items.label):
        notes.extend(_about_absent(items))
    elif config.labels_per_class:
        notes.append("no table of few labels a class: what is predicted is a number")
    return notes


def _about_absent(items: Items) -> list[str]:
    """A class that no item has is asked of every head and counted by no mean: its recordings may have been skipped."""
    label, codes = items.label, range(len(items.classes))
    found = {c for c in codes if (label[:, c] > 0).any()} if is_multilabel(label) else set(np.unique(label).tolist())
    absent = [items.classes[c] for c in codes if c not in found]
    return [f"nothing here is of class {', '.join(absent)}: no average counts it"] if absent else []


def _about_given(items: Items) -> str:
    """What a reader must know of scores that are means over what is given."""
    text = f"scores are means over {len(items.given_names)} things given, each with a head or model of its own"
    left = f"; {items.ungiven} labelled items of which none of them is known are left out" if items.ungiven else ""
    return text + left
