"""Typed checks of a recipe: unknown keys, wrong types and impossible numbers, each with the place it was written.

Types are checked by jsonargparse against the annotations of the dataclass or block. Only plain annotations (numbers,
text, choices and containers of them) reach it, because it would import code for a callable or a class.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from .errors import InputError, nearest
from .settings_yaml import Located

if TYPE_CHECKING:
    from .config import Recipe

_SHARE = ("at least 0 and at most 1", lambda x: 0 <= x <= 1)
_OPEN_SHARE = ("above 0 and below 1", lambda x: 0 < x < 1)
_POSITIVE = ("above 0", lambda x: x > 0)
_NOT_NEGATIVE = ("at least 0", lambda x: x >= 0)

# dotted key -> (words, test); lists are tested entry by entry
_RANGES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "seed": _NOT_NEGATIVE,
    "data.limit": _POSITIVE,
    "data.demo_seed": _NOT_NEGATIVE,
    "split.test_fraction": _OPEN_SHARE,
    "split.validation_fraction": _OPEN_SHARE,
    "split.folds": ("at least 2", lambda x: x >= 2),
    "encoder.width": _POSITIVE,
    "encoder.depth": _POSITIVE,
    "encoder.heads": _POSITIVE,
    "optimizer.lr": _POSITIVE,
    "optimizer.weight_decay": _NOT_NEGATIVE,
    "optimizer.betas": ("at least 0 and below 1", lambda x: 0 <= x < 1),
    "optimizer.warmup": _SHARE,
    "optimizer.final": _SHARE,
    "optimizer.clip": _NOT_NEGATIVE,
    "trainer.max_steps": _POSITIVE,
    "trainer.max_passes": _NOT_NEGATIVE,
    "trainer.batch_size": ("at least 2", lambda x: x >= 2),
    "trainer.folds_at_once": _NOT_NEGATIVE,
    "trainer.length_buckets": _POSITIVE,
    "trainer.most_patches": ("0, or at least 2", lambda x: x == 0 or x >= 2),  # one patch alone hides nothing
    "trainer.accumulate_grad_batches": _POSITIVE,
    "trainer.checkpoint_every": _POSITIVE,
    "trainer.keep_checkpoints": _POSITIVE,
    "trainer.log_every": _POSITIVE,
    "trainer.monitor_every": _POSITIVE,
    "probe.layers": _POSITIVE,
    "probe.knn_k": _POSITIVE,
    "probe.knn_temperature": _POSITIVE,
    "probe.linear_c": _POSITIVE,
    "probe.attentive_steps": _POSITIVE,
    "probe.attentive_lr": _POSITIVE,
    "finetune.steps": _POSITIVE,
    "finetune.batch_size": _POSITIVE,
    "finetune.lr": _POSITIVE,
    "finetune.layer_decay": ("above 0 and at most 1", lambda x: 0 < x <= 1),
    "finetune.dropout": ("at least 0 and below 1", lambda x: 0 <= x < 1),
    "finetune.weight_average": ("at least 0 and below 1", lambda x: 0 <= x < 1),
    "finetune.eval_every": _NOT_NEGATIVE,
    "finetune.test_views": _POSITIVE,
    "semi.threshold": ("above 0 and at most 1", lambda x: 0 < x <= 1),
    "semi.weight": _NOT_NEGATIVE,
    "semi.ratio": _POSITIVE,
    "semi.rise": _SHARE,
    "evaluate.label_fractions": ("above 0 and at most 1", lambda x: 0 < x <= 1),
    "evaluate.labels_per_class": _POSITIVE,
    "evaluate.label_draws": _POSITIVE,
    "evaluate.seeds": _POSITIVE,
    "evaluate.blend": _SHARE,
    "evaluate.frozen_share": _SHARE,
    "evaluate.side_share": _SHARE,
    "evaluate.bootstrap": _NOT_NEGATIVE,
    "evaluate.batch_size": _POSITIVE,
}


def build_section(cls: type, values: Any, key: str, located: Located) -> Any:
    """A frozen dataclass from plain data, recursively; every problem is an InputError with key and place."""
    if not isinstance(values, Mapping):
        raise InputError("expected a section of keys", source=located.where(key), field=key, got=values)
    hints = typing.get_type_hints(cls)
    names = [f.name for f in dataclasses.fields(cls) if f.init]
    built: dict[str, Any] = {}
    for name, value in values.items():
        path = f"{key}.{name}" if key else name
        if name not in names:
            raise unknown_key(path, names, located)
        if value is None and not _takes_null(hints[name]):
            continue  # null takes a recipe's choice back: the default holds
        if dataclasses.is_dataclass(hints[name]):
            built[name] = build_section(typing.cast(type, hints[name]), value, path, located)
        else:
            built[name] = check_value(value, hints[name], path, located)
    try:
        return cls(**built)
    except InputError:
        raise
    except (TypeError, ValueError) as error:  # a dataclass may check its own fields together
        raise InputError(f"{key or 'recipe'} is not consistent", source=located.where(key), got=str(error)) from error


def unknown_key(path: str, names: typing.Iterable[str], located: Located) -> InputError:
    """The error for a key that does not exist, with the nearest that does."""
    return InputError(f"unknown key {path}", source=located.where(path), fix=nearest(path.rpartition(".")[2], names))


def check_value(value: Any, hint: Any, path: str, located: Located) -> Any:
    """The value, converted to its annotation. Raises InputError naming key, place, got and expected."""
    if not _is_plain(hint):
        return value
    if _is_sequence(hint) and isinstance(value, str | int | float) and not isinstance(value, bool):
        value = [v.strip() for v in value.split(",")] if isinstance(value, str) else [value]
        value = [_number(v) for v in value]
    try:
        value = _convert(value, hint)
    except Exception as error:  # jsonargparse reports a wrong type with several exception classes
        got = "no value" if path in located.bare else value
        raise InputError(
            "wrong type or value", source=located.where(path), field=path, got=got, expected=spell(hint)
        ) from error
    words, holds = _RANGES.get(path, ("", lambda _: True))
    for entry in value if isinstance(value, list | tuple) else [value]:
        if isinstance(entry, int | float) and not isinstance(entry, bool) and not holds(entry):
            raise InputError("out of range", source=located.where(path), field=path, got=entry, expected=words)
    return value


def refuse_without_effect(over: Located, recipe: Recipe) -> None:
    """Raise InputError for an override that the merged recipe has no use for; a recipe may say what it does not use."""

    def said(section: str, key: str) -> Any:
        values = over.data.get(section)
        return values.get(key) if isinstance(values, Mapping) else None

    folds, kind = said("split", "folds"), recipe.split.kind
    if folds is not None and kind != "kfold":
        raise InputError(
            "the number of folds has no effect", source=over.where("split.folds"), field="split.folds",
            got=f"{folds} with split.kind {kind}", expected="split.kind kfold", fix="add --split.kind kfold",
        )  # fmt: skip
    share = said("split", "test_fraction")
    if share is not None and kind in ("kfold", "official"):
        raise InputError(
            "the share of who is tested has no effect", source=over.where("split.test_fraction"),
            field="split.test_fraction", got=f"{share} with split.kind {kind}", expected="split.kind holdout",
            fix="say --split.folds" if kind == "kfold" else "add --split.kind holdout",
        )  # fmt: skip
    name, manifest = said("data", "name"), recipe.data.manifest
    if manifest is not None and name not in (None, "manifest"):
        theirs = said("data", "manifest") is None  # it stands in the recipe's file
        raise InputError(
            "a manifest and a data set are both given", source=over.where("data.name"), field="data.name",
            got=f"--data.name {name} and --data.manifest {manifest}", expected="one of them",
            fix="add --data.manifest null, or leave out --data.name" if theirs else "leave one of them out",
        )  # fmt: skip


def spell(hint: Any) -> str:
    """An annotation in words for error messages."""
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(str(a) for a in get_args(hint))
    if _is_union(hint):
        return " or ".join(spell(a) for a in get_args(hint))
    if _is_sequence(hint):
        inner = [spell(a) for a in get_args(hint) if a is not ...]
        return f"a list of {inner[0]}" if ... in get_args(hint) or len(inner) == 1 else f"[{', '.join(inner)}]"
    words = {int: "a whole number", float: "a number", str: "text", bool: "true or false", type(None): "null"}
    return words.get(hint, str(hint))


def _convert(value: Any, hint: Any) -> Any:
    from jsonargparse import ArgumentParser

    if isinstance(value, bool) and hint in (int, float):
        raise TypeError("a boolean is not a number")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--value", type=hint)
    return parser.parse_object({"value": value}).value


def _number(value: Any) -> Any:
    if isinstance(value, str):
        for kind in (int, float):
            try:
                return kind(value)
            except ValueError:
                continue
    return value


def _takes_null(hint: Any) -> bool:
    return hint is Any or (_is_union(hint) and type(None) in get_args(hint))


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in (Union, types.UnionType)


def _is_sequence(hint: Any) -> bool:
    return get_origin(hint) in (tuple, list)


def _is_plain(hint: Any) -> bool:
    """Whether an annotation is made of numbers, text, choices and containers of them only."""
    if hint in (int, float, str, bool, type(None), ...) or get_origin(hint) is Literal:
        return True
    if _is_union(hint) or _is_sequence(hint) or get_origin(hint) is dict:
        return all(_is_plain(a) for a in get_args(hint))
    return False
