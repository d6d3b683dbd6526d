"""Targets that say who a row came from, for losses that want it known or forgotten.

Who there is, is learned from the windows of the pretraining side before the first step. A row of an unknown subject
has no target.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from ..distributed import gather_rows
from ..errors import InputError
from ..sequence import PatchSequence
from .encoder import Encoder
from .latent_targets import SelfTarget
from .registry import register
from .targets import Request, Target, TargetProvider


@register("target", "subject")
class SubjectTarget(TargetProvider):
    """The subject of each row as a one-hot distribution [row, subject] (or [row, k, subject] at patches)."""

    def __init__(self, spec, encoder, heads) -> None:
        super().__init__()
        self.codes: Tensor | None = None  # not a buffer: every resume prepares anew

    def prepare(self, batches: Callable[[], Iterable[PatchSequence]]) -> None:
        self.codes = known_subjects(batches)

    @torch.no_grad()
    def forward(self, request: Request) -> Target:
        number, known = numbered(request, self.codes)
        assert self.codes is not None
        values = torch.nn.functional.one_hot(number, len(self.codes)).float()
        if request.index is None:
            return Target(values, known)
        patches = request.index.index.shape[1]
        valid = known.unsqueeze(1) & request.index.valid
        return Target(values.unsqueeze(1).expand(-1, patches, -1), valid)


@register("target", "subject_mean")
class SubjectMean(SelfTarget):
    """Where the encoder has put a row's subject of late, relative to everybody: [row, width].

    A moving average of the embeddings of each subject, minus the mean of these averages. It stands for the embedding of
    a person where no other model gives one. memory: of the average, a step in which a subject occurs. Options of
    `self`: head.

    A subject who was not met yet has no target. At site pooled only.
    """

    means: Tensor
    met: Tensor

    def __init__(
        self, spec, encoder: Encoder, heads, *, memory: float = 0.9, head: str | list[str] | None = None
    ) -> None:
        super().__init__(spec, encoder, heads, stop_gradient=True, head=head)
        self.memory = memory
        self.codes: Tensor | None = None
        self._seen: list[tuple[Tensor, Tensor]] = []

    def prepare(self, batches: Callable[[], Iterable[PatchSequence]]) -> None:
        self.codes = known_subjects(batches)
        last = self._online[-1]
        width = int(getattr(last, "out", 0) or getattr(last, "width", 0))
        self.register_buffer("means", torch.zeros(len(self.codes), width))
        self.register_buffer("met", torch.zeros(len(self.codes), dtype=torch.bool))

    @torch.no_grad()
    def forward(self, request: Request) -> Target:
        if request.index is not None:
            raise InputError("subject_mean is of whole rows", source="objective.terms", fix="use site: pooled")
        number, known = numbered(request, self.codes)
        own = super().forward(request)
        if self.training:
            alive = own.valid & known
            self._seen.append((gather_rows(own.values[alive]), gather_rows(number[alive])))
        everybody = self.means[self.met].mean(dim=0) if bool(self.met.any()) else 0.0
        return Target(self.means[number] - everybody, own.valid & known & self.met[number])

    @torch.no_grad()
    def after_step(self, step: int, total: int) -> None:
        for z, number in self._seen:
            count = torch.zeros(len(self.means), device=z.device).index_add_(0, number, torch.ones_like(z[:, 0]))
            mean = torch.zeros_like(self.means).index_add_(0, number, z) / count.clamp(min=1.0).unsqueeze(1)
            here = count > 0
            keep = torch.where(self.met, self.memory, 0.0).unsqueeze(1)
            self.means.copy_(torch.where(here.unsqueeze(1), keep * self.means + (1 - keep) * mean, self.means))
            self.met |= here
        self._seen.clear()


def known_subjects(batches: Callable[[], Iterable[PatchSequence]]) -> Tensor:
    """[subject] sorted codes of all who occur. Raises InputError when nobody is known."""
    found = torch.cat([batch.subject for batch in batches()]).cpu().unique()
    found = found[found >= 0]
    if not len(found):
        raise InputError("nobody is known by name in these data", source="objective.targets", fix="give subjects")
    return found


def numbered(request: Request, codes: Tensor | None) -> tuple[Tensor, Tensor]:
    """[row] place of each wanted row's subject among the known ones, and [row] whether it is one."""
    if codes is None:
        raise RuntimeError("`prepare` has not seen the windows")
    subject = request.view.batch.subject
    subject = subject if request.rows is None else subject[request.rows]
    codes = codes.to(subject.device)
    number = torch.searchsorted(codes, subject).clamp(max=len(codes) - 1)
    return number, codes[number] == subject
