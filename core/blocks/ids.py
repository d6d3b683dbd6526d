"""Objectives that ask which ids are hidden: the ids themselves as targets, and losses over a vocabulary.

The output layer is the encoder's own table of ids (`Encoder.id_table`), so what was trained is saved with the encoder
and ranks afterwards. Of a whole row (site `pooled`) all hidden ids are asked for, of a place (site `target`) its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import InputError
from ..sequence import SequenceSpec
from .encoder import Encoder
from .id_likelihood import id_likelihood
from .id_sampling import IdProposal
from .losses import Loss
from .registry import register
from .targets import Request, Target, TargetProvider
from .views import select

WHOLE_VOCABULARY = 50_000  # ids that are all compared with, unless a recipe says otherwise
SAMPLED = 4096  # ids drawn for a batch from a larger vocabulary
_FAR = -1e9  # score of what does not count; finite, as a row may have nothing else


@dataclass(frozen=True)
class IdTarget(Target):
    """values: [row, k] int64 ids. shown: [row, m] int64 ids that the row shows, -1 = none: they are no alternatives."""

    shown: Tensor

    @property
    def own(self) -> Tensor:
        """[row, m + k] int64 ids that the row shows or is asked for, -1 = none."""
        return torch.cat([self.shown, self.values.masked_fill(~self.valid, -1)], dim=1)


@register("target", "ids")
class HiddenIds(TargetProvider):
    """Ids of the first column: of a whole row (site `pooled`) all that its view hides, else that of each place."""

    def __init__(self, spec: SequenceSpec, encoder: Encoder, heads: Mapping[str, nn.Module]) -> None:
        super().__init__()
        if not spec.vocabulary:
            raise ValueError("these patches carry values, not ids")

    def forward(self, request: Request) -> IdTarget:
        view = request.view
        wanted = request.index or view.targets
        if wanted is None or view.visible is None:
            raise InputError("ids are asked of what a view hides, but this one hides nothing", fix="give it a mask")
        hidden, shown = (select(view.batch, request.rows, chosen) for chosen in (wanted, view.visible))
        assert hidden.ids is not None
        assert shown.ids is not None
        ids = hidden.ids[..., 0].masked_fill(~hidden.valid, 0)
        return IdTarget(ids, hidden.valid, shown.ids[..., 0].masked_fill(~shown.content, -1))


class IdLoss(Loss):
    """Base of losses that compare a vector with ids by inner products with the encoder's table of ids, and so are built
    with the encoder.

    row_weight: what a row counts as a power of how many ids it is asked for: 0 = every row alike, 1 = every id alike.
    """

    reads_encoder: ClassVar[bool] = True

    def __init__(self, encoder: Encoder, *, row_weight: float = 0.5) -> None:
        super().__init__()
        self._encoder = [encoder]  # in a list: its weights are not the loss's to save
        self.row_weight = row_weight

    def forward(self, prediction: Tensor, target: Target, subject: Tensor) -> tuple[Tensor, Tensor]:
        table = self.table()
        # one vector a place, or one for all hidden ids of its row
        vectors = prediction.float() if prediction.ndim == 3 else prediction.float().unsqueeze(1)
        assert isinstance(target, IdTarget)
        values = self.compare(vectors, table, target).masked_fill(~target.valid, 0.0)
        if prediction.ndim == 3:
            return values, target.valid.to(values.dtype)
        count = target.valid.sum(dim=1)
        weights = count.to(values.dtype) ** self.row_weight
        return values.sum(dim=1) / count.clamp(min=1), weights * (count > 0)

    def table(self) -> Tensor:
        """[id, width] float32 vectors of ids."""
        return self._encoder[0].id_table().float()

    def compare(self, vectors: Tensor, table: Tensor, target: IdTarget) -> Tensor:
        """[row, k] loss of each id. vectors: [row, k or 1, width]; table: [id, width]."""
        raise NotImplementedError


@register("loss", "id_softmax")
class IdSoftmax(IdLoss):
    """Cross-entropy over the vocabulary; of a row, its mean over the hidden ids (multinomial likelihood, Liang et al.
    2018, https://arxiv.org/abs/1802.05814).

    sampled: compare with so many ids, drawn for the whole batch, instead of with all (0). "auto": with all of a
        vocabulary up to `WHOLE_VOCABULARY`, beyond it with `SAMPLED`; no recipe needs to say more.
    popularity: how much more often frequent ids are drawn, see `IdProposal`; corrected by log-Q.

    Ids that the row shows are left out: a ranking leaves them out too, and a model that must push down what it has just
    read spends itself on that.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        sampled: int | Literal["auto"] = "auto",
        popularity: float = 0.75,
        row_weight: float = 0.5,
    ) -> None:
        super().__init__(encoder, row_weight=row_weight)
        ids = encoder.spec.vocabulary[0]
        if sampled == "auto":
            sampled = 0 if ids <= WHOLE_VOCABULARY else SAMPLED
        if not isinstance(sampled, int) or sampled < 0:
            raise ValueError(f"sampled is a number of ids, 0 (compare with all) or 'auto', got {sampled!r}")
        self.sampled = sampled
        self.proposal = IdProposal(ids, popularity) if sampled else None

    def compare(self, vectors: Tensor, table: Tensor, target: IdTarget) -> Tensor:
        row, place, vectors, asked = _pairs(vectors, target)
        ids = target.values[row, place]
        shown = target.shown if asked is row else target.shown[row]  # of each vector
        if self.proposal is not None:
            found = self._sampled(vectors, table, shown, ids, asked, self.proposal)
        else:
            vector, at = (shown >= 0).nonzero(as_tuple=True)
            found = id_likelihood(vectors, table, asked, ids, vector, shown[vector, at])
        return found.new_zeros(target.values.shape).index_put((row, place), found)

    def _sampled(
        self, vectors: Tensor, table: Tensor, shown: Tensor, ids: Tensor, asked: Tensor, proposal: IdProposal
    ) -> Tensor:
        """[pair] the same, with ids that were drawn in place of all others."""
        drawn, log_expected = proposal.draw(self.sampled)
        others = _without(vectors @ table[drawn].T - log_expected.float(), shown, drawn, -torch.inf)[asked]
        # the right id counts once, drawn or not
        others = others.masked_fill(ids.unsqueeze(1) == drawn, -torch.inf)
        right = (F.embedding(asked, vectors) * F.embedding(ids, table)).sum(dim=1)
        return torch.logaddexp(right, others.logsumexp(dim=1)) - right


@register("loss", "id_cosine")
class IdCosine(IdLoss):
    """Cross-entropy of cosines against ids that are drawn for the whole batch, none of them the row's own (SSM, Wu et
    al. 2022, https://arxiv.org/abs/2201.02327).

    temperature: what cosines are divided by. A small one dwells on the negatives that lie nearest.
    sampled: ids that are drawn. popularity: how much more often frequent ids are, see `IdProposal`; not corrected, so
        frequent ids must earn their place.

    Cosines alone are learned. A ranking takes inner products nonetheless: propagation leaves frequent ids the longer
    vectors, which gives their frequency its due.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        temperature: float = 0.1,
        sampled: int = 2048,
        popularity: float = 1.0,
        row_weight: float = 0.0,
    ) -> None:
        super().__init__(encoder, row_weight=row_weight)
        if temperature <= 0:
            raise ValueError(f"temperature must be positive, got {temperature}")
        if sampled < 1:
            raise ValueError(f"sampled must be positive, got {sampled}")
        self.temperature, self.sampled = temperature, sampled
        self.proposal = IdProposal(encoder.spec.vocabulary[0], popularity)

    def compare(self, vectors: Tensor, table: Tensor, target: IdTarget) -> Tensor:
        row, place, vectors, asked = _pairs(vectors, target)
        vectors = F.normalize(vectors, dim=1)
        drawn, _ = self.proposal.draw(self.sampled)
        others = vectors @ F.normalize(table[drawn], dim=1).T / self.temperature
        own = target.own if asked is row else target.own[row]  # of each vector
        others = _without(others, own, drawn, _FAR).logsumexp(dim=1)
        right = F.normalize(F.embedding(target.values[row, place], table), dim=1)
        right = (F.embedding(asked, vectors) * right).sum(dim=1) / self.temperature
        found = F.softplus(others[asked] - right)
        return found.new_zeros(target.values.shape).index_put((row, place), found)


@register("loss", "id_bpr")
class IdBpr(IdLoss):
    """Bayesian personalised ranking (Rendle et al. 2009, https://arxiv.org/abs/1205.2618): a hidden id above others.

    negatives: ids drawn uniformly for each id that is asked for; those that the row shows or is asked for do not count.
    shared: ids drawn for each vector instead, with which all that is asked of it are compared, 0 = none: of long
        histories many more pairs for the same number of vectors, so that the gradient is steadier.
    decay: weight of half the squared length of the vectors that are compared (LightGCN's lambda). Without it lengths
        grow for as long as the training lasts. Where vectors are spread over a graph, of those that are spread: what
        hardly passes the graph then costs most and says least, which keeps neighbours alike.
    """

    def __init__(
        self, encoder: Encoder, *, negatives: int = 1, shared: int = 0, decay: float = 0.0, row_weight: float = 1.0
    ) -> None:
        super().__init__(encoder, row_weight=row_weight)
        if negatives < 1:
            raise ValueError(f"negatives must be positive, got {negatives}")
        if shared < 0:
            raise ValueError(f"shared is a number of ids, or 0, got {shared}")
        if decay < 0:
            raise ValueError(f"decay cannot be negative, got {decay}")
        self.negatives, self.shared, self.decay = negatives, shared, decay

    def compare(self, vectors: Tensor, table: Tensor, target: IdTarget) -> Tensor:
        row, place, vectors, asked = _pairs(vectors, target)
        right, ours = target.values[row, place], F.embedding(asked, vectors)
        scores = (ours * F.embedding(right, table)).sum(dim=1)
        if self.shared:
            of, whose, owner = asked, vectors, torch.arange(len(vectors), device=row.device) if asked is row else row
        else:
            of, whose, owner = torch.arange(len(row), device=row.device), ours, row
        drawn = torch.randint(len(table), (len(whose), self.shared or self.negatives), device=row.device)
        others = torch.bmm(F.embedding(drawn, table), whose.unsqueeze(2)).squeeze(2)
        counts = (~_among(owner, drawn, target.own, len(table))).to(others.dtype)
        share = counts / counts.sum(dim=1, keepdim=True).clamp(min=1)
        found = (F.softplus(F.embedding(of, others) - scores.unsqueeze(1)) * share[of]).sum(dim=1)
        if self.decay:
            row_length, id_length = self._lengths(ours, table)
            drawn_length = (id_length[drawn] * share).sum(dim=1)
            found = found + 0.5 * self.decay * (row_length + id_length[right] + drawn_length[of])
        return found.new_zeros(target.values.shape).index_put((row, place), found)

    def _lengths(self, ours: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
        """Squared lengths: [pair] of rows, or one for all, and [id]. Of known rows their mean: all are drawn alike."""
        spread = self._encoder[0].unspread()
        rows, ids = (None, table) if spread is None else spread
        lengths = ours.square().sum(dim=1) if rows is None else rows.float().square().sum(dim=1).mean()
        return lengths, ids.float().square().sum(dim=1)


def _among(row: Tensor, ids: Tensor, own: Tensor, vocabulary: int) -> Tensor:
    """[pair, k] bool, which `ids` are among those of their row. row: [pair]; own: [row, m] ids, -1 = none."""
    owner, at = (own >= 0).nonzero(as_tuple=True)
    keys = (owner * vocabulary + own[owner, at]).sort().values
    wanted = row.unsqueeze(1) * vocabulary + ids
    if not len(keys):
        return torch.zeros_like(wanted, dtype=torch.bool)
    return keys[torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)] == wanted


def _without(scores: Tensor, own: Tensor, drawn: Tensor, score: float) -> Tensor:
    """[vector, k] scores of ids that were drawn, `score` where they are among the vector's own.

    own: [vector, m] ids, -1 = none; drawn: [k] ids, perhaps more than once.
    """
    order = drawn.argsort()
    ordered = drawn[order]
    owner, at = (own >= 0).nonzero(as_tuple=True)
    ids = own[owner, at]
    first = torch.searchsorted(ordered, ids)
    count = torch.searchsorted(ordered, ids, right=True) - first
    # the places of an id lie side by side in `ordered`
    start = torch.repeat_interleave(first - (count.cumsum(0) - count), count)
    place = order[start + torch.arange(len(start), device=own.device)]
    return scores.index_put((torch.repeat_interleave(owner, count), place), scores.new_tensor(score))


def _pairs(vectors: Tensor, target: IdTarget) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What is asked for without padding: [pair] rows and places, vectors [vector, width], and [pair] which is asked.

    vectors: [row, k or 1, width]. Histories differ in length by a hundred times, so padding would be most of the work.
    """
    row, place = target.valid.nonzero(as_tuple=True)
    if vectors.shape[1] == 1:
        return row, place, vectors.squeeze(1), row
    return row, place, vectors[row, place], torch.arange(len(row), device=row.device)


def some(rows: Tensor, most: int) -> Tensor:
    """At most so many of the rows, drawn at random: for what compares all pairs."""
    if len(rows) <= most:
        return rows
    return rows[torch.randperm(len(rows), device=rows.device)[:most]]
