"""Roles of patch kinds in a mask: which kinds are always seen, always predicted or left out.

A sequence may hold patches of several scales. Objectives across scales then differ only in the role of each kind:
beats from patches hides every beat and samples the patches; rhythm from beats drops the patches, samples the beats and
hides the rhythm.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..errors import nearest
from ..sequence import PatchSequence, SequenceSpec
from .views import IndexSet

ROLES = ("visible", "hidden", "dropped")


class KindRoles:
    """{kind name: role}; kinds that are not named stay with the sampler."""

    def __init__(self, roles: Mapping[str, str]) -> None:
        for kind, role in roles.items():
            if role not in ROLES:
                raise ValueError(f"kind {kind} has the role {role!r}; {nearest(str(role), ROLES)}")
        self.roles = dict(roles)

    def within(self, spec: SequenceSpec) -> KindRoles | None:
        """With the roles that the spec implies; None where every patch stays with the sampler."""
        implied = dict.fromkeys(spec.kinds[1:], "visible") if spec.kind_columns else {}
        return KindRoles({**implied, **self.roles}) if implied or self.roles else None

    def sampled(self, batch: PatchSequence) -> PatchSequence:
        """The batch with only those patches valid that the sampler may choose among."""
        return batch.replace(valid=batch.valid & ~self._of(batch, *ROLES))

    def complete(self, batch: PatchSequence, visible: IndexSet, targets: IndexSet) -> tuple[IndexSet, IndexSet]:
        """The sampler's choice with the patches of fixed roles; where nothing is visible, nothing is asked."""
        visible = _join(visible, batch.valid & self._of(batch, "visible"))
        targets = _join(targets, batch.valid & self._of(batch, "hidden"))
        asked = targets.valid & visible.valid.any(dim=1, keepdim=True)
        return visible, IndexSet(targets.index, asked)

    def _of(self, batch: PatchSequence, *roles: str) -> Tensor:
        """[row, patch] bool: patches whose kind has one of the roles."""
        chosen = torch.zeros_like(batch.valid)
        for kind, role in self.roles.items():
            if role in roles:
                chosen |= batch.kind == batch.spec.kind_of(kind)
        return chosen


def _join(chosen: IndexSet, more: Tensor) -> IndexSet:
    """An index set and the patches [row, patch] that are True in `more`."""
    count = more.sum(dim=1)
    width = int(count.max()) if len(count) else 0
    index = (~more).long().argsort(dim=1, stable=True)[:, :width]
    valid = torch.arange(width, device=more.device) < count.unsqueeze(1)
    return IndexSet(torch.cat([chosen.index, index], dim=1), torch.cat([chosen.valid, valid], dim=1))
