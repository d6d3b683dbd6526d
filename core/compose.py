"""Compositions of objectives as data: the shipped YAML files, overrides, and their checks.

A composition has five sections, each a dict of named entries: `views`, `heads`, `targets`, `terms`, `regularizers`.
A recipe names a shipped one (`objective: {name: jepa}`) and overrides what it wants to, or gives all sections itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from .blocks import registry
from .errors import InputError, nearest

SECTIONS = ("views", "heads", "targets", "terms", "regularizers")
SITES = ("target", "visible", "all", "pooled")
_TERM_KEYS = {"site", "source", "head", "target", "view", "loss", "weight"}
_REGULARIZER_KEYS = {"source", "site", "head", "weight"}
_VIEW_KEYS = {"augment", "mask"}


@cache
def _shipped() -> dict[str, str]:
    folder = files(__package__).joinpath("objectives")
    return {f.name.removesuffix(".yaml"): f.read_text() for f in folder.iterdir() if f.name.endswith(".yaml")}


def shipped_objectives() -> list[str]:
    """Names of the shipped compositions."""
    return sorted(_shipped())


def composition(name: str) -> dict[str, Any]:
    """A shipped composition as plain data."""
    if name not in _shipped():
        raise InputError(f"unknown objective {name!r}", fix=nearest(name, _shipped()))
    return yaml.safe_load(_shipped()[name])


def resolve_objective(options: Mapping[str, Any]) -> dict[str, Any]:
    """Shipped composition merged with the overrides, every name and key checked.

    Raises InputError that names the nearest known key. An entry set to null is removed.
    """
    name = options.get("name", "custom")
    own = {k: v for k, v in options.items() if k != "name"}
    for key in own:
        if key not in SECTIONS:
            raise InputError(f"unknown key objective.{key}", fix=nearest(key, SECTIONS))
    if name in _shipped() or not own.get("terms"):
        base = composition(str(name))
    else:
        base = {}
    merged: dict[str, Any] = {"name": name}
    for section in SECTIONS:
        entries = merge(base.get(section) or {}, own.get(section) or {})
        merged[section] = {k: v for k, v in entries.items() if v is not None or section == "views"}
    _check(merged, base)
    return merged


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Deep merge; an entry that changes its `name` replaces the old one, whose options would not fit."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            renamed = "name" in value and value["name"] != old.get("name")
            merged[key] = dict(value) if renamed else merge(old, value)
        else:
            merged[key] = value
    return merged


def head_names(value: str | list[str] | None) -> tuple[str, ...]:
    """A head chain as written in a composition, as a tuple of names."""
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)


def _check(c: dict[str, Any], base: Mapping[str, Any]) -> None:
    if not c["terms"] and not c["regularizers"]:
        raise InputError(f"objective {c['name']!r} has no terms")
    for name, view in c["views"].items():
        _keys(view or {}, _VIEW_KEYS, f"objective.views.{name}", base.get("views"), name)
        if (view or {}).get("mask"):
            registry.check("mask", view["mask"], f"objective.views.{name}.mask")
    for section, kind in (("heads", "head"), ("targets", "target")):
        for name, entry in c[section].items():
            if "name" not in entry and base.get(section):
                raise InputError(f"unknown key objective.{section}.{name}", fix=nearest(name, base[section]))
            registry.check(kind, entry, f"objective.{section}.{name}")
    for name, term in c["terms"].items():
        where = f"objective.terms.{name}"
        _keys(term, _TERM_KEYS, where, base.get("terms"), name)
        for key in ("site", "source", "target", "loss"):
            if key not in term:
                raise InputError(f"{where} needs {key}")
        if term["site"] not in SITES:
            raise InputError(f"{where}.site", got=term["site"], expected=", ".join(SITES))
        _refer(term["source"], c["views"], f"{where}.source")
        _refer(term.get("view", term["source"]), c["views"], f"{where}.view")
        _refer(term["target"], c["targets"], f"{where}.target")
        registry.check("loss", term["loss"], f"{where}.loss")
        for head in head_names(term.get("head")):
            _refer(head, c["heads"], f"{where}.head")
    for name, reg in c["regularizers"].items():
        where = f"objective.regularizers.{name}"
        registry.check("regularizer", {k: v for k, v in reg.items() if k not in _REGULARIZER_KEYS}, where)
        for source in [reg["source"]] if isinstance(reg.get("source"), str) else reg.get("source") or [None]:
            _refer(source, c["views"], f"{where}.source")
        for head in head_names(reg.get("head")):
            _refer(head, c["heads"], f"{where}.head")


def _keys(entry: Mapping[str, Any], known: set[str], where: str, base: Any, name: str) -> None:
    for key in entry:
        if key not in known:
            raise InputError(f"unknown key {where}.{key}", fix=nearest(key, known))
    if base and name not in base and "site" not in entry and not (known & {"mask"} and entry):
        raise InputError(f"unknown key {where}", fix=nearest(name, base))


def _refer(name: Any, known: Mapping[str, Any], where: str) -> None:
    if name not in known:
        raise InputError(f"{where} refers to {name!r}, which is not defined", fix=nearest(str(name), known))
