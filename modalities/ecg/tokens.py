"""Time patches of ECG leads, joint over leads or one lead a token, and back.

joint: a patch is [slot, sample]; a slot whose lead was not recorded is NaN. Cheapest, for a fixed set of leads.
lead: a patch is [1, sample]; its lead's place is part of the coordinates, so any set of leads will do. The missing
ones simply are not there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from einops import rearrange

from ...core.errors import InputError
from ...core.sequence import PatchSequence, SequenceSpec
from .leads import PLACES, fill_slots

RESIDUAL = " residual"  # suffix of the pseudo-lead that holds the difference to the record's normal beat


def slot_names(slots: Sequence[tuple[str, ...]], residual: bool) -> list[tuple[str, ...]]:
    """Slots of a joint patch, with the residual of each behind them."""
    return [*slots, *(tuple(lead + RESIDUAL for lead in s) for s in slots)] if residual else list(slots)


def make_spec(tokens: str, slots: int, patch: int, patch_s: float, sfreq_hz: float) -> SequenceSpec:
    """What the patches of one configuration mean. Unit "1" is the record's typical beat height."""
    if tokens == "joint":
        return SequenceSpec(axes=("time_s",), axis_scales=(patch_s,), patch_shape=(slots, patch), sfreq_hz=sfreq_hz)
    return SequenceSpec(
        axes=("time_s", "x", "y", "z", "residual"),
        axis_scales=(patch_s, 0.25, 0.25, 0.25, 1.0),
        patch_shape=(1, patch),
        sfreq_hz=sfreq_hz,
    )


def joint_patches(
    values: np.ndarray, sensors: Sequence[str], slots: Sequence[tuple[str, ...]], spec: SequenceSpec
) -> PatchSequence:
    """[sensor, sample] -> one row of patches over all slots; a patch is valid when any slot was recorded."""
    patch = spec.patch_shape[1]
    x = np.full((len(slots), values.shape[1]), np.nan, np.float32)
    for slot, source in enumerate(fill_slots(slots, sensors)):
        if source is not None:
            x[slot] = values[source]
    patches = rearrange(_cut(x, patch), "slot n sample -> n (slot sample)")
    valid = np.isfinite(patches).any(axis=1)
    time = (np.arange(len(patches)) + 0.5) * patch / float(spec.sfreq_hz or 1.0)
    return PatchSequence.build(
        spec,
        torch.from_numpy(time.astype(np.float32))[None, :, None],
        values=torch.from_numpy(patches)[None],
        valid=torch.from_numpy(valid)[None],
    )


def lead_patches(values: np.ndarray, sensors: Sequence[str], spec: SequenceSpec) -> PatchSequence:
    """[sensor, sample] -> one row, a token for each lead and time patch; group = lead."""
    patch = spec.patch_shape[1]
    order = sorted(range(len(sensors)), key=lambda i: _rank(sensors[i]))
    cut = _cut(values[order], patch)
    n = cut.shape[1]
    time = (np.arange(n) + 0.5) * patch / float(spec.sfreq_hz or 1.0)
    coords = np.zeros((len(order), n, len(spec.axes)), np.float32)
    coords[..., 0] = time
    for row, i in enumerate(order):
        coords[row, :, 1:4] = PLACES[sensors[i].removesuffix(RESIDUAL)]
        coords[row, :, 4] = float(sensors[i].endswith(RESIDUAL))
    group = np.array([_rank(sensors[i]) for i in order])[:, None].repeat(n, axis=1)
    # a lead token is valid when most of it was recorded
    valid = np.isfinite(cut).mean(axis=-1) >= 0.5
    return PatchSequence.build(
        spec,
        torch.from_numpy(rearrange(coords, "lead n coord -> 1 (lead n) coord")),
        values=torch.from_numpy(rearrange(cut, "lead n sample -> 1 (lead n) sample")),
        valid=torch.from_numpy(rearrange(valid, "lead n -> 1 (lead n)")),
        group=torch.from_numpy(rearrange(group, "lead n -> 1 (lead n)")),
    )


def signals(sequence: PatchSequence) -> list[np.ndarray]:
    """The inverse of both: [slot or lead, sample] of each row; NaN where a patch is invalid or not among the patches.

    Padding is left out: it lies at time 0, the centre of a patch always later.
    """
    if sequence.values is None:
        raise InputError("ECG patches carry values, not ids")
    slots, patch = sequence.spec.patch_shape
    values = sequence.values.masked_fill(~sequence.valid.unsqueeze(-1), torch.nan).cpu().numpy()
    time = sequence.coords[..., 0].cpu().numpy()
    place = np.round(np.nan_to_num(time) * float(sequence.spec.sfreq_hz or 1.0) / patch - 0.5).astype(int)
    found = []
    for row, real, at, group in zip(values, time > 0, place, sequence.group.cpu().numpy(), strict=True):
        # joint patches are all of group 0
        leads, lead = np.unique(group[real], return_inverse=True)
        grid = np.full((len(leads), at.max(initial=-1) + 1, row.shape[-1]), np.nan, np.float32)
        grid[lead, at[real]] = row[real]
        found.append(rearrange(grid, "lead n (slot sample) -> (lead slot) (n sample)", slot=slots))
    return found


def _cut(x: np.ndarray, patch: int) -> np.ndarray:
    """[sensor, sample] -> [sensor, n, patch]; an unfinished last patch is filled with NaN."""
    n = -(-x.shape[1] // patch)
    padded = np.full((len(x), n * patch), np.nan, np.float32)
    padded[:, : x.shape[1]] = x
    return padded.reshape(len(x), n, patch)


def lead_rank(coords: torch.Tensor) -> torch.Tensor:
    """[..., axis] coordinates of lead patches -> [...] number of the lead, residuals after all leads."""
    places = coords.new_tensor(list(PLACES.values()))
    nearest = torch.cdist(coords[..., 1:4].float(), places.expand(*coords.shape[:-2], -1, -1)).argmin(dim=-1)
    return nearest + len(PLACES) * (coords[..., 4] > 0.5).long()


def _rank(sensor: str) -> int:
    return list(PLACES).index(sensor.removesuffix(RESIDUAL)) + len(PLACES) * sensor.endswith(RESIDUAL)
