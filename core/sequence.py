"""PatchSequence: the common currency between modalities and objectives.

A batch of patch sequences is pure data: content, validity, physical coordinates, structure and provenance of
each patch. There is no model logic here.

Design decisions
- `valid` is the only notion of padding and of missing sensors: True = a real patch.
- A NaN inside a *valid* patch is a missing measurement (a lead that was not recorded inside a joint patch);
  whatever stands under `valid=False` has no effect at all.
- Rows know where they came from: `window` (unique id of the window), `record`, `subject`, `site` as integer
  codes, `label` with -1 (or NaN for real-valued labels) = none.
- `Events` are points on a row's first axis that carry labels and side features of their own (beats, phones, gait
  cycles).
- Axis vocabulary of the project: `batch patch value axis`, and `event feature` for events.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .errors import InputError, nearest


@dataclass(frozen=True)
class SequenceSpec:
    """What the numbers of a PatchSequence mean; equal for every batch of one modality configuration.

    axes: names of the coordinate axes with their unit as suffix, e.g. ("time_s", "x", "y", "z").
    axis_scales: the distance along each axis that should look "one step" to position encodings, in axis units.
    patch_shape: shape of one patch before flattening, e.g. (lead, sample); its product is the value axis.
    sfreq_hz: sampling rate of the values, or None when there is none.
    unit: unit of the values after preprocessing ("1" = dimensionless).
    kinds: names of the token types, indexed by `kind`.
    vocabulary: size of the id table of each id column (k entries), empty when patches carry values.
    known_of_ids: how many numbers are known of an id of each column before anything is learned, those of
        `Modality.known_of_ids`; empty = nothing is.
    kind_shapes: shape of one patch of each kind, where kinds hold different content; empty = all have `patch_shape`.
        The value axis is as long as the largest of them; a smaller one stands first on it, the rest has no meaning.
    kind_columns: the id column that patches of each kind read, where ids of several vocabularies stand in one row;
        empty = every patch reads all columns. Where it is given, patches of the first kind are a row's content, read
        in the first column; the others tell of its surroundings: they are not hidden, asked for or ranked. Ids of
        further columns have no vectors of their own, only a map of what is known of them.
    """

    axes: tuple[str, ...]
    patch_shape: tuple[int, ...]
    axis_scales: tuple[float, ...] = ()
    sfreq_hz: float | None = None
    unit: str = "1"
    kinds: tuple[str, ...] = ("patch",)
    vocabulary: tuple[int, ...] = ()
    kind_shapes: tuple[tuple[int, ...], ...] = ()
    known_of_ids: tuple[int, ...] = ()
    kind_columns: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.axis_scales:
            object.__setattr__(self, "axis_scales", (1.0,) * len(self.axes))
        if len(self.axis_scales) != len(self.axes):
            raise ValueError(f"axis_scales has {len(self.axis_scales)} entries for {len(self.axes)} axes")
        # shapes that went through JSON are lists
        object.__setattr__(self, "kind_shapes", tuple(tuple(shape) for shape in self.kind_shapes))
        if self.known_of_ids and len(self.known_of_ids) != len(self.vocabulary):
            raise ValueError(f"known_of_ids has {len(self.known_of_ids)} entries for {len(self.vocabulary)} id columns")
        if self.kind_columns and (
            len(self.kind_columns) != len(self.kinds)
            or self.kind_columns[0] != 0
            or not set(self.kind_columns) <= set(range(len(self.vocabulary)))
        ):
            raise ValueError(f"kind_columns {self.kind_columns} do not fit the kinds {self.kinds} and id columns")
        if self.kind_shapes and len(self.kind_shapes) != len(self.kinds):
            raise ValueError(f"kind_shapes has {len(self.kind_shapes)} entries for {len(self.kinds)} kinds")
        if any(math.prod(shape) > self.patch_size for shape in self.kind_shapes):
            raise ValueError(f"kind_shapes {self.kind_shapes} do not fit the {self.patch_size} numbers of a patch")

    @property
    def patch_size(self) -> int:
        """Numbers in one patch (of the largest kind)."""
        return math.prod(self.patch_shape)

    def shape_of(self, kind: int) -> tuple[int, ...]:
        """Shape of one patch of a kind."""
        return self.kind_shapes[kind] if self.kind_shapes else self.patch_shape

    def kind_of(self, name: str) -> int:
        """Number of a kind by its name. Raises InputError with the nearest name when it is unknown."""
        if name not in self.kinds:
            raise InputError(
                f"unknown kind of patch {name!r}", expected=", ".join(self.kinds), fix=nearest(name, self.kinds)
            )
        return self.kinds.index(name)


@dataclass(frozen=True)
class Events:
    """Labelled points on the first axis of each row.

    at: [batch, event] position on the first axis, in its unit.
    label: [batch, event] int class, -1 = none.
    valid: [batch, event] bool, False = padding.
    features: [batch, event, feature] float side information known beside the signal (e.g. beat intervals).
    given: [batch, event] int code of what a task knows beforehand, default 0.
    """

    at: Tensor
    label: Tensor
    valid: Tensor
    features: Tensor
    given: Tensor = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.given is None:
            object.__setattr__(self, "given", torch.zeros_like(self.label))


# fields whose second axis is the patch axis, with the filler of padded positions
PATCH_FIELDS: dict[str, Any] = {
    "values": 0.0, "ids": 0, "valid": False, "coords": 0.0, "kind": 0, "group": 0,
}  # fmt: skip
ROW_FIELDS = ("window", "record", "subject", "site", "label")
EVENT_FIELDS: dict[str, Any] = {"at": 0.0, "label": -1, "valid": False, "features": 0.0, "given": 0}


@dataclass(frozen=True)
class PatchSequence:
    """A batch of patch sequences.

    values: [batch, patch, value] float, or None when patches carry ids.
    ids: [batch, patch, k] int into the tables of `spec.vocabulary`, or None.
    valid: [batch, patch] bool, True = a real patch.
    coords: [batch, patch, axis] float in the units of `spec.axes`.
    kind, group: [batch, patch] int, token type and structural unit.
    window, record, subject, site: [batch] int codes of the origin, -1 = unknown.
    label: [batch] int (-1 = none) or [batch, class] float.
    edges: [2, edge] int over flattened patches (row * patch + position), PyG convention, or None.
    partner: another window of each row's record, row by row (see `data.pairing`), or None.
    """

    spec: SequenceSpec
    valid: Tensor
    coords: Tensor
    kind: Tensor
    group: Tensor
    window: Tensor
    record: Tensor
    subject: Tensor
    site: Tensor
    label: Tensor
    values: Tensor | None = None
    ids: Tensor | None = None
    edges: Tensor | None = None
    events: Events | None = None
    partner: PatchSequence | None = None

    def __post_init__(self) -> None:
        if (self.values is None) == (self.ids is None):
            raise ValueError("a PatchSequence carries either values or ids")
        rows, patches = self.valid.shape
        for name in PATCH_FIELDS:
            field = getattr(self, name)
            if field is not None and tuple(field.shape[:2]) != (rows, patches):
                raise ValueError(f"{name} has shape {tuple(field.shape)}, expected [{rows}, {patches}, ...]")
        if self.coords.shape[-1] != len(self.spec.axes):
            raise ValueError(f"coords has {self.coords.shape[-1]} axes, the spec names {self.spec.axes}")
        if self.values is not None and self.values.shape[-1] != self.spec.patch_size:
            raise ValueError(
                f"values has {self.values.shape[-1]} numbers a patch, the spec says {self.spec.patch_shape}"
            )

    # ---- construction -----------------------------------------------------------------------------------------

    @classmethod
    def build(
        cls,
        spec: SequenceSpec,
        coords: Tensor,
        *,
        values: Tensor | None = None,
        ids: Tensor | None = None,
        valid: Tensor | None = None,
        kind: Tensor | None = None,
        group: Tensor | None = None,
        edges: Tensor | None = None,
        events: Events | None = None,
        **rows: Any,
    ) -> PatchSequence:
        """Fill in what is not given: all patches valid, kind and group 0, origin unknown, no label."""
        shape = coords.shape[:2]
        device = coords.device
        zeros = torch.zeros(shape, dtype=torch.long, device=device)
        unknown: dict[str, Any] = {
            name: torch.as_tensor(rows.pop(name), device=device) if name in rows
            else torch.full(shape[:1], -1, dtype=torch.long, device=device)
            for name in ROW_FIELDS
        }  # fmt: skip
        if rows:
            raise TypeError(f"unknown row fields {sorted(rows)}, known: {ROW_FIELDS}")
        return cls(
            spec=spec,
            valid=torch.ones(shape, dtype=torch.bool, device=device) if valid is None else valid,
            coords=coords,
            kind=zeros if kind is None else kind,
            group=zeros if group is None else group,
            values=values,
            ids=ids,
            edges=edges,
            events=events,
            **unknown,
        )

    # ---- shape and movement -----------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self.valid.shape[0]

    @property
    def n_patches(self) -> int:
        """Patches a row, padding included."""
        return self.valid.shape[1]

    @property
    def device(self) -> torch.device:
        return self.valid.device

    @property
    def content(self) -> Tensor:
        """[batch, patch] bool: valid patches that tell of the row itself, not of its surroundings
        (`SequenceSpec.kind_columns`)."""
        return self.valid & (self.kind == 0) if self.spec.kind_columns else self.valid

    @property
    def lengths(self) -> Tensor:
        """[batch] valid patches in each row."""
        return self.valid.sum(dim=1)

    def replace(self, **changes: Any) -> PatchSequence:
        """A copy with some fields exchanged."""
        return dataclasses.replace(self, **changes)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> PatchSequence:
        """Move every tensor (Lightning calls this for batches)."""

        def move(value):
            return value.to(device, non_blocking=non_blocking) if isinstance(value, Tensor) else value

        return self._map(move)

    def pin_memory(self) -> PatchSequence:
        return self._map(lambda value: value.pin_memory() if isinstance(value, Tensor) else value)

    def _map(self, function) -> PatchSequence:
        changes = {
            f.name: function(getattr(self, f.name))
            for f in dataclasses.fields(self)
            if f.name not in ("spec", "events", "partner")
        }
        if self.partner is not None:
            changes["partner"] = self.partner._map(function)
        if self.events is not None:
            changes["events"] = Events(**{name: function(getattr(self.events, name)) for name in EVENT_FIELDS})
        return self.replace(**changes)

    # ---- selection --------------------------------------------------------------------------------------------

    def rows(self, index: Tensor | Sequence[int] | slice) -> PatchSequence:
        """Select rows (the batch axis) by index, slice or boolean tensor; a repeated index repeats the row."""
        if not isinstance(index, slice):
            index = torch.as_tensor(index, device=self.device)
            # an empty list becomes a float tensor
            index = index.nonzero(as_tuple=True)[0] if index.dtype == torch.bool else index.long()
        changes: dict[str, Any] = {}
        for name in (*PATCH_FIELDS, *ROW_FIELDS):
            field = getattr(self, name)
            changes[name] = None if field is None else field[index]
        if self.edges is not None:
            chosen = torch.arange(len(self), device=self.device)[index]
            changes["edges"] = _select_edges(self.edges, chosen, len(self), self.n_patches)
        if self.events is not None:
            changes["events"] = Events(**{name: getattr(self.events, name)[index] for name in EVENT_FIELDS})
        if self.partner is not None:
            changes["partner"] = self.partner.rows(index)
        return self.replace(**changes)

    def patches(self, index: Tensor) -> PatchSequence:
        """Select patches by a per-row index [batch, k]; coordinates, kinds and groups go along. Edges are dropped."""
        changes: dict[str, Any] = {"edges": None}
        for name in PATCH_FIELDS:
            field = getattr(self, name)
            changes[name] = None if field is None else gather(field, None, index)
        return self.replace(**changes)

    def flat_value_shape(self) -> tuple[int, ...]:
        """Shape of `values` with the patch axis unfolded: [batch, patch, *patch_shape]."""
        return (*self.valid.shape, *self.spec.patch_shape)


def gather(field: Tensor, rows: Tensor | None, index: Tensor) -> Tensor:
    """Patches `index` [row, k] of the batch rows `rows` (None = one to one) of `field` [batch, patch, ...]."""
    owner = torch.arange(len(field), device=field.device) if rows is None else rows
    flat = (owner.unsqueeze(1) * field.shape[1] + index).flatten()
    # one flat index: index_select is two to three times as fast as two-index gathering, forwards and backwards
    return field.flatten(0, 1).index_select(0, flat).view(*index.shape, *field.shape[2:])


def _select_edges(edges: Tensor, rows: Tensor, n_rows: int, patches: int) -> Tensor:
    """Edges of the chosen of `n_rows` rows, renumbered; each copy of a repeated row gets its own copy of the edges."""
    owner = torch.div(edges[0], patches, rounding_mode="floor")
    by_owner, counts = owner.argsort(stable=True), owner.bincount(minlength=n_rows)
    first, wanted = counts.cumsum(0) - counts, counts[rows]
    copy = torch.arange(len(rows), device=edges.device).repeat_interleave(wanted)
    nth = torch.arange(len(copy), device=edges.device) - (wanted.cumsum(0) - wanted)[copy]
    source = rows[copy]
    return edges[:, by_owner[first[source] + nth]] + (copy - source) * patches
