"""Differences between patch sequences, recordings and windows, as words.

Each function returns "" when two things agree, else what differs, so that a check can put it into its sentence.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..sequence import PatchSequence

_PATCH = ("values", "ids", "valid", "coords", "kind", "group", "edges")


def array_difference(name: str, a: Any, b: Any, atol: float = 0.0) -> str:
    """Two arrays or tensors, NaN equal to NaN."""
    if a is None or b is None:
        return "" if a is b else f"{name} is None in one of them"
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        return f"{name} of shapes {list(a.shape)} and {list(b.shape)}"
    if a.dtype.kind not in "fc":
        return "" if np.array_equal(a, b) else f"{name} with other entries"
    if np.array_equal(a, b, equal_nan=True):
        return ""
    if not np.array_equal(np.isnan(a), np.isnan(b)):
        return f"{name} missing (NaN) in other places"
    with np.errstate(invalid="ignore"):
        worst = float(np.nanmax(np.abs(a.astype(float) - b.astype(float))))
    return f"{name} that differ by up to {worst:.3g}" if not worst <= atol else ""


def sequence_difference(a: PatchSequence, b: PatchSequence, atol: float = 0.0) -> str:
    """Two batches, patch by patch in their order; what stands under valid=False does not count."""
    if a.spec != b.spec:
        return "two specs"
    for name in _PATCH:
        x, y = getattr(a, name), getattr(b, name)
        if isinstance(x, Tensor) and isinstance(y, Tensor) and name not in ("valid", "edges"):
            x, y = (_blank(t, s.valid) for t, s in ((x, a), (y, b)))
        found = array_difference(name, x, y, atol)
        if found:
            return found
    return ""


def record_difference(a: Any, b: Any) -> str:
    """Two recordings, windows or window events, field by field."""
    for field in dataclasses.fields(a):
        x, y = getattr(a, field.name), getattr(b, field.name)
        if dataclasses.is_dataclass(x) and dataclasses.is_dataclass(y):
            found = record_difference(x, y)
        elif isinstance(x, np.ndarray) or isinstance(y, np.ndarray):
            found = array_difference(field.name, x, y)
        elif field.name == "extras":
            found = _extras_difference(x, y)
        else:
            found = "" if x == y else f"{field.name} {x!r} and {y!r}"
        if found:
            return found
    return ""


def ordered(row: PatchSequence, atol: float = 1e-4) -> dict[str, np.ndarray]:
    """The valid patches of one row in an order of their own: by kind, group and coordinates.

    `key` [patch, 2 + axis] holds those, coordinates in steps of `atol` axis scales; `content` [patch, number].
    """
    valid = row.valid[0]
    scales = torch.tensor(row.spec.axis_scales)
    steps = (row.coords[0][valid].double() / scales / atol).round()
    key = torch.cat([row.kind[0][valid].unsqueeze(1), row.group[0][valid].unsqueeze(1), steps], dim=1).numpy()
    content = row.values if row.values is not None else row.ids
    assert content is not None
    order = np.lexsort(key.T[::-1])
    return {"key": key[order], "content": content[0][valid].double().numpy()[order]}


def ordered_difference(a: PatchSequence, b: PatchSequence, atol: float = 1e-4) -> str:
    """Two rows as sets of patches, whatever their order."""
    x, y = ordered(a), ordered(b)
    if len(x["key"]) != len(y["key"]):
        return f"{len(x['key'])} and {len(y['key'])} valid patches"
    if not np.array_equal(x["key"], y["key"]):
        return "patches at other coordinates, kinds or groups"
    return array_difference("values", x["content"], y["content"], atol)


def _blank(field: Tensor, valid: Tensor) -> Tensor:
    shape = (*valid.shape, *(1 for _ in field.shape[2:]))
    return field.masked_fill(~valid.view(shape), 0)


def _extras_difference(a: Any, b: Any) -> str:
    if set(a) != set(b):
        return f"extras {sorted(a)} and {sorted(b)}"
    for key in a:
        same = np.array_equal(a[key], b[key]) if isinstance(a[key], np.ndarray) else a[key] == b[key]
        if not same:
            return f"extras[{key!r}] with other contents"
    return ""
