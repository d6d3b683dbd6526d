"""Blocks by registered name.

A block is a class registered under (kind, name). Parameters before the `*` of its constructor are context that the
framework supplies (the sequence spec, the width of its input); keyword-only parameters are the options a recipe may
set, and `**` hands those of the base class on. So a recipe names blocks and options and can never import code.
An option may hold a block in turn: a class says so by `nested`, {option: kind}, and it is checked with the rest.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, TypeVar

from ..errors import InputError, nearest

T = TypeVar("T", bound=type)

# kind -> modules whose import registers the blocks of that kind
_ROOMS: dict[str, tuple[str, ...]] = {
    "encoder": ("encoder", "graph", "set_encoder", "id_graph", "cloze_encoder"),
    "mask": ("masks", "disc_mask", "block_mask", "member_mask", "motion_mask", "id_masks"),
    "mix": ("mixing",),
    "shuffle": ("shuffle",),
    "target": (
        "latent_targets",
        "mined",
        "signal_targets",
        "motion_targets",
        "links",
        "text_targets",
        "subject_targets",
        "perceptual",
        "ids",
        "order",
        "summary",
        "known_targets",
    ),
    "head": (
        "heads",
        "cross_heads",
        "graph_decoder",
        "projections",
        "pooling",
        "layer_pool",
        "caption",
        "summary",
        "noise",
        "cloze_encoder",
    ),
    "loss": (
        "losses",
        "contrastive",
        "alignment",
        "caption",
        "disentangle",
        "perceptual",
        "links",
        "order",
        "ids",
        "uniformity",
        "noise",
    ),
    "regularizer": ("regularizers", "uniformity"),
    "schedule": ("schedules",),
    "text": ("text",),
    "teacher": (),  # of codes; modalities bring them
}
_BLOCKS: dict[str, dict[str, type]] = {kind: {} for kind in _ROOMS}


def register(kind: str, name: str) -> Callable[[T], T]:
    """Class decorator: make a block available to recipes as `name`."""

    def add(cls: T) -> T:
        if name in _BLOCKS[kind]:
            raise ValueError(f"{kind} {name!r} is registered twice: {_BLOCKS[kind][name]} and {cls}")
        _BLOCKS[kind][name] = cls
        return cls

    return add


def block(kind: str, name: str) -> type:
    """The class registered under (kind, name), which must exist (see `check`)."""
    return _load(kind)[name]


def kinds() -> tuple[str, ...]:
    """What blocks there are: encoders, masks, losses, ..."""
    return tuple(_ROOMS)


def describe(kind: str) -> dict[str, dict[str, Any]]:
    """{name: {option: default}} for every block of a kind (`inspect.Parameter.empty` = required)."""
    return {name: _options(cls) for name, cls in _load(kind).items()}


def check(kind: str, options: Mapping[str, Any] | str, where: str) -> dict[str, Any]:
    """Options of one block as a dict with `name`; unknown names and keys raise InputError with the nearest known."""
    options = {"name": options} if isinstance(options, str) else dict(options)
    known = _load(kind)
    name = options.get("name")
    if name not in known:
        raise InputError(f"unknown {kind} {name!r} at {where}", fix=nearest(str(name), known))
    allowed = _options(known[name])
    for key in options:
        if key != "name" and key not in allowed:
            hint = nearest(key, allowed) if allowed else f"{name} has no options"
            raise InputError(f"unknown option {where}.{key} of {kind} {name!r}", fix=hint)
    missing = [k for k, v in allowed.items() if v is inspect.Parameter.empty and k not in options]
    if missing:
        raise InputError(f"{kind} {name!r} at {where} needs {', '.join(missing)}")
    for key, inner in getattr(known[name], "nested", {}).items():
        if key in options:
            options[key] = check(inner, options[key], f"{where}.{key}")
    return options


def build(kind: str, options: Mapping[str, Any] | str, *context: Any, where: str = "") -> Any:
    """Construct the block that `options["name"]` names, with the framework's `context` first."""
    options = check(kind, options, where or kind)
    name = options.pop("name")
    try:
        return _load(kind)[name](*context, **options)
    except (TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{kind} {name!r} at {where or kind} cannot be built", got=str(error)) from error


def names_of(value: str | Sequence[str] | None) -> tuple[str, ...]:
    """One name, several or none, as a recipe writes them (`head`, `source`), as a tuple."""
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)


def _load(kind: str) -> dict[str, type]:
    for room in _ROOMS[kind]:
        import_module(f".{room}", __package__)
    return _BLOCKS[kind]


def _options(cls: type) -> dict[str, Any]:
    parameters = inspect.signature(cls).parameters.values()
    own = {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
        return {**own, **_options(cls.__base__ or object)}
    return own
