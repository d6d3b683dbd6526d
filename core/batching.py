"""Padding, concatenation and length buckets of patch sequences.

All of them keep the contract of `PatchSequence`: what is added is `valid=False` and has no effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .sequence import EVENT_FIELDS, PATCH_FIELDS, ROW_FIELDS, Events, PatchSequence


def pad(sequence: PatchSequence, n_patches: int) -> PatchSequence:
    """Append invalid patches until each row has `n_patches`."""
    extra = n_patches - sequence.n_patches
    if extra < 0:
        raise ValueError(f"cannot pad {sequence.n_patches} patches down to {n_patches}")
    if extra == 0:
        return sequence
    changes: dict[str, Any] = {
        name: _extend(getattr(sequence, name), extra, filler)
        for name, filler in PATCH_FIELDS.items()
        if getattr(sequence, name) is not None
    }
    if sequence.edges is not None:
        row = torch.div(sequence.edges, sequence.n_patches, rounding_mode="floor")
        changes["edges"] = sequence.edges + row * extra
    return sequence.replace(**changes)


def collate(sequences: Sequence[PatchSequence]) -> PatchSequence:
    """Stack batches along the row axis, padding patches and events to the longest."""
    if not sequences:
        raise ValueError("collate needs at least one sequence")
    first = sequences[0]
    if any(s.spec != first.spec for s in sequences):
        raise ValueError("collate needs sequences of one spec; got several")
    longest = max(s.n_patches for s in sequences)
    padded = [pad(s, longest) for s in sequences]
    changes: dict[str, Any] = {}
    for name in (*PATCH_FIELDS, *ROW_FIELDS):
        fields = [getattr(s, name) for s in padded]
        changes[name] = None if fields[0] is None else torch.cat(fields)
    known = next((s.events for s in padded if s.events is not None), None)
    if known is not None:  # sequences without events have none of them in their rows
        changes["events"] = _collate_events([s.events or _no_events(known, s) for s in padded])
    edges, offset = [], 0
    for s in padded:
        if s.edges is not None:
            edges.append(s.edges + offset * longest)
        offset += len(s)
    changes["edges"] = torch.cat(edges, dim=1) if edges else None
    partners = [s.partner for s in sequences if s.partner is not None]
    changes["partner"] = collate(partners) if len(partners) == len(sequences) else None
    return first.replace(**changes)


def concat_kinds(*sequences: PatchSequence) -> PatchSequence:
    """Join token kinds of the same rows along the patch axis (e.g. patches, then beats, then rhythm).

    The sequences must share rows, axes and the value axis; `spec.kinds` of the first names all kinds.
    """
    first = sequences[0]
    if any(len(s) != len(first) for s in sequences):
        raise ValueError("concat_kinds needs the same rows in every sequence")
    changes: dict[str, Any] = {}
    for name in PATCH_FIELDS:
        fields = [getattr(s, name) for s in sequences]
        changes[name] = None if fields[0] is None else torch.cat(fields, dim=1)
    total, parts, start = sum(s.n_patches for s in sequences), [], 0
    for s in sequences:
        if s.edges is not None:
            row = torch.div(s.edges, s.n_patches, rounding_mode="floor")
            parts.append(s.edges - row * s.n_patches + start + row * total)
        start += s.n_patches
    changes["edges"] = torch.cat(parts, dim=1) if parts else None
    return first.replace(**changes)


def bucket_lengths(lengths: Sequence[int], n_buckets: int) -> list[int]:
    """Upper length of each bucket, so that rows fall into buckets of about equal population (last = longest).

    Padding a row only to its bucket's length wastes far less than padding to the longest row.
    """
    if n_buckets < 1:
        raise ValueError(f"n_buckets must be positive, got {n_buckets}")
    ordered = sorted(int(n) for n in lengths)
    # bucket i ends with the row at rank ceil((i + 1) * rows / buckets), counted from one
    ends = [-(-(i + 1) * len(ordered) // n_buckets) - 1 for i in range(n_buckets)]
    return sorted({ordered[end] for end in ends}) if ordered else []


def length_groups(lengths: Tensor, most: int = 4, least_rows: int = 8, worth: float = 0.8) -> list[Tensor]:
    """Row indices in at most `most` groups of like length, none of fewer than `least_rows` rows.

    One group of all rows, in their order, where groups would not save a fifth of the patches that are computed when
    everything is padded to the longest row: small batches are slower by the row.
    """
    rows, groups = len(lengths), min(most, len(lengths) // least_rows)
    if groups > 1:
        parts = list(lengths.argsort(stable=True).tensor_split(groups))
        if sum(len(part) * int(lengths[part[-1]]) for part in parts) <= worth * rows * int(lengths.max()):
            return parts
    return [torch.arange(rows, device=lengths.device)]


def trim(sequence: PatchSequence) -> PatchSequence:
    """Cut trailing patches that are invalid in every row."""
    used = sequence.valid.any(dim=0).nonzero()
    keep = int(used.max()) + 1 if len(used) else 1
    if keep == sequence.n_patches:
        return sequence
    changes: dict[str, Any] = {
        name: getattr(sequence, name)[:, :keep] for name in PATCH_FIELDS if getattr(sequence, name) is not None
    }
    if sequence.edges is not None:
        row = torch.div(sequence.edges, sequence.n_patches, rounding_mode="floor")
        left = ((sequence.edges - row * sequence.n_patches) < keep).all(dim=0)  # an edge to a cut patch goes with it
        changes["edges"] = (sequence.edges - row * (sequence.n_patches - keep))[:, left]
    return sequence.replace(**changes)


def _extend(field: Tensor, extra: int, filler: Any) -> Tensor:
    block = field.new_full((field.shape[0], extra, *field.shape[2:]), filler)
    return torch.cat([field, block], dim=1)


def _no_events(like: Events, sequence: PatchSequence) -> Events:
    empty = {name: getattr(like, name) for name in EVENT_FIELDS}
    return Events(**{name: e.new_empty((len(sequence), 0, *e.shape[2:])) for name, e in empty.items()})


def _collate_events(events: list[Events]) -> Events:
    longest = max(e.at.shape[1] for e in events)
    return Events(
        **{
            name: torch.cat([_extend(getattr(e, name), longest - e.at.shape[1], filler) for e in events])
            for name, filler in EVENT_FIELDS.items()
        }
    )
