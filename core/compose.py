"""Compositions of objectives as data: the shipped YAML files, overrides, and their checks.

A composition has five sections, each a dict of named entries: `views`, `heads`, `targets`, `terms`, `regularizers`;
one that reads what was written about each record also has `text`, the options of its text model.
A recipe names a shipped one (`objective: {name: jepa}`) and overrides what it wants to, or gives all sections itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from . import objectives
from .blocks import registry
from .blocks.registry import names_of
from .errors import InputError, nearest

SECTIONS = ("views", "heads", "targets", "terms", "regularizers")
TEXT = "text"
SITES = ("target", "visible", "all", "pooled", "text")
_TERM_KEYS = {"site", "source", "head", "target", "view", "loss", "weight"}
REGULARIZER_KEYS = {"source", "site", "head", "weight"}
_REGULARIZER_SITES = ("pooled", "token")
_VIEW_KEYS = {"augment", "mask", "mix", "pair", "shuffle"}


@cache
def _shipped() -> dict[str, str]:
    folder = files(objectives)
    return {f.name.removesuffix(".yaml"): f.read_text() for f in folder.iterdir() if f.name.endswith(".yaml")}


def shipped_compositions() -> list[str]:
    """Names of all shipped compositions."""
    return sorted(_shipped())


def shipped_objectives() -> list[str]:
    """Names of the shipped compositions that need nothing but signals."""
    return sorted(name for name in _shipped() if TEXT not in composition(name) and not _asks_for_ids(name))


def shipped_id_objectives() -> list[str]:
    """Names of the shipped compositions that need patches with ids."""
    return sorted(name for name in _shipped() if _asks_for_ids(name))


def _asks_for_ids(name: str) -> bool:
    return any(target["name"] == "ids" for target in composition(name)["targets"].values())


def shipped_text_objectives() -> list[str]:
    """Names of the shipped compositions that need texts too."""
    return sorted(name for name in _shipped() if TEXT in composition(name))


def composition(name: str) -> dict[str, Any]:
    """A shipped composition as plain data."""
    if name not in _shipped():
        raise InputError(f"unknown objective {name!r}", fix=nearest(name, _shipped()))
    return yaml.safe_load(_shipped()[name])


def resolve_objective(options: Mapping[str, Any]) -> dict[str, Any]:
    """Shipped composition merged with the overrides, every name and key checked.

    An entry set to null is removed; a view set to null is the plain batch. Raises InputError that names the nearest
    known key.
    """
    name = options.get("name", "custom")
    own = {k: v for k, v in options.items() if k != "name"}
    for key, section in own.items():
        if key not in (*SECTIONS, TEXT):
            raise InputError(f"unknown key objective.{key}", fix=nearest(key, (*SECTIONS, TEXT)))
        _mapping(section, f"objective.{key}", empty=True)
        if key == TEXT:
            continue
        for entry, value in (section or {}).items():
            _mapping(value, f"objective.{key}.{entry}", empty=True)
    base = composition(str(name)) if name in _shipped() or not _is_whole(own) else {}
    merged: dict[str, Any] = {"name": name}
    for section in SECTIONS:
        entries = merge(base.get(section) or {}, own.get(section) or {})
        merged[section] = {k: v for k, v in entries.items() if v is not None or section == "views"}
    text = merge({TEXT: base.get(TEXT)}, {TEXT: own[TEXT]} if TEXT in own else {})[TEXT]
    if text:
        merged[TEXT] = registry.check(TEXT, text, f"objective.{TEXT}")
    _check(merged, base)
    return merged


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Deep merge; an entry that changes its `name` replaces the old one, whose options would not fit.

    A bare name is short for a mapping with that name, so options can be added to it.
    """
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        if isinstance(old, str) and isinstance(value, Mapping):
            old = {"name": old}
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            renamed = "name" in value and value["name"] != old.get("name")
            merged[key] = dict(value) if renamed else merge(old, value)
        else:
            merged[key] = value
    return merged


def _is_whole(own: Mapping[str, Any]) -> bool:
    """Whether the options are a composition of their own, not overrides of a (mistyped) shipped one."""
    terms = (own.get("terms") or {}).values()
    return any(term and "site" in term for term in terms) or bool(own.get("regularizers") and own.get("views"))


def _check(c: dict[str, Any], base: Mapping[str, Any]) -> None:
    for section in SECTIONS:
        for name in c[section]:
            _check_name(name, f"objective.{section}.{name}")
    if not c["terms"] and not c["regularizers"]:
        raise InputError(f"objective {c['name']!r} has no terms")
    for name, view in c["views"].items():
        mask = (view or {}).get("mask")
        _known(name, base, "views", new=not mask or isinstance(mask, str) or "name" in mask)
        _keys(view or {}, _VIEW_KEYS, f"objective.views.{name}")
        if mask:
            registry.check("mask", mask, f"objective.views.{name}.mask")
        for kind in ("mix", "shuffle"):
            if chosen := (view or {}).get(kind):
                registry.check(kind, chosen, f"objective.views.{name}.{kind}")
    _check_pairs(c["views"])
    for section, kind in (("heads", "head"), ("targets", "target")):
        for name, entry in c[section].items():
            _known(name, base, section, new="name" in entry)
            registry.check(kind, entry, f"objective.{section}.{name}")
    for name, term in c["terms"].items():
        _known(name, base, "terms", new="site" in term)
        _check_term(term, c, f"objective.terms.{name}")
    for name, reg in c["regularizers"].items():
        _known(name, base, "regularizers", new="name" in reg)
        _check_regularizer(reg, c, f"objective.regularizers.{name}")
    _check_used(c)


def _check_name(name: str, where: str) -> None:
    """Entries become submodules, whose names are attributes: no dots, and none that torch has taken."""
    from torch import nn

    if not str(name).isidentifier() or hasattr(nn.ModuleDict(), name):
        raise InputError(f"{where} cannot be called that", fix="choose another name")


def _check_term(term: Mapping[str, Any], c: Mapping[str, Any], where: str) -> None:
    _keys(term, _TERM_KEYS, where)
    for key in ("site", "source", "target", "loss"):
        if key not in term:
            raise InputError(f"{where} needs {key}")
    if term["site"] not in SITES:
        raise InputError(f"{where}.site", got=term["site"], expected=", ".join(SITES))
    _refer(term["source"], c["views"], f"{where}.source")
    _refer(term.get("view", term["source"]), c["views"], f"{where}.view")
    _refer(term["target"], c["targets"], f"{where}.target")
    paired = [bool((c["views"][term.get(key, term["source"])] or {}).get("pair")) for key in ("source", "view")]
    if term["site"] not in ("pooled", "text") and paired[0] != paired[1]:
        raise InputError(f"{where} compares patches of a window with those of its partner", fix="use site: pooled")
    registry.check("loss", term["loss"], f"{where}.loss")
    for head in names_of(term.get("head")):
        _refer(head, c["heads"], f"{where}.head")


def _check_regularizer(reg: Mapping[str, Any], c: Mapping[str, Any], where: str) -> None:
    registry.check("regularizer", {k: v for k, v in reg.items() if k not in REGULARIZER_KEYS}, where)
    if reg.get("site", "pooled") not in _REGULARIZER_SITES:
        raise InputError(f"{where}.site", got=reg["site"], expected=", ".join(_REGULARIZER_SITES))
    if not reg.get("source"):
        raise InputError(f"{where} needs source")
    for source in names_of(reg["source"]):
        _refer(source, c["views"], f"{where}.source")
    for head in names_of(reg.get("head")):
        _refer(head, c["heads"], f"{where}.head")


def _check_pairs(views: Mapping[str, Any]) -> None:
    """A batch brings one partner of each window, so all views mean the same one."""
    distances: dict[str, float] = {}
    for name, view in views.items():
        if (pair := (view or {}).get("pair")) is None:
            continue
        where = f"objective.views.{name}.pair"
        _keys(_mapping(pair, where), {"within_s"}, where)
        distance = pair.get("within_s")
        if not isinstance(distance, int | float) or isinstance(distance, bool) or not distance > 0:
            raise InputError(f"{where}.within_s", got=distance, expected="a positive number of seconds")
        distances[f"{where}.within_s"] = distance
    if len(set(distances.values())) > 1:
        got = ", ".join(f"{where} {distance:g}" for where, distance in distances.items())
        raise InputError("views ask for partners at different distances", got=got, expected="one distance")


def _check_used(c: Mapping[str, Any]) -> None:
    """What nobody uses is a mistake (and an unused moving average costs a copy of the encoder)."""
    users = [*c["terms"].values(), *c["regularizers"].values(), *c["targets"].values()]
    used = {
        "heads": {head for user in users for head in names_of(user.get("head"))},
        "targets": {term["target"] for term in c["terms"].values()},
    }
    for section, names in used.items():
        for name in c[section]:
            if name not in names:
                by = "term, target or regularizer" if section == "heads" else "term"
                raise InputError(f"objective.{section}.{name} is used by no {by}", fix="set it to null to remove it")


def _known(name: str, base: Mapping[str, Any], section: str, *, new: bool) -> None:
    """An entry is one of the shipped composition's or complete in itself (`new`); else it is a mistyped one."""
    if not new and base.get(section) and name not in base[section]:
        raise InputError(f"unknown key objective.{section}.{name}", fix=nearest(name, base[section]))


def _keys(entry: Mapping[str, Any], known: set[str], where: str) -> None:
    for key in entry:
        if key not in known:
            raise InputError(f"unknown key {where}.{key}", fix=nearest(key, known))


def _mapping(value: Any, where: str, *, empty: bool = False) -> Mapping[str, Any]:
    if isinstance(value, Mapping) or (empty and value is None):
        return value or {}
    raise InputError(f"{where} has the wrong form", got=value, expected="a section of keys")


def _refer(name: Any, known: Mapping[str, Any], where: str) -> None:
    if name not in known:
        raise InputError(f"{where} refers to {name!r}, which is not defined", fix=nearest(str(name), known))
