"""Targets that are embeddings: of an exponential moving average of the encoder, or of the encoder itself."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..distributed import gather_rows
from ..sequence import SequenceSpec
from .encoder import Encoder
from .projections import chain, project
from .registry import names_of, register
from .schedules import schedule
from .targets import Request, Target, TargetProvider, normalize_tokens


class _Latent(TargetProvider):
    """Shared by both: token targets from the last layers, pooled targets through optional heads."""

    def __init__(self, encoder: Encoder, layers: int, normalize: str) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"layers must be at least 1, got {layers}")
        if normalize not in ("layer", "instance", "none"):
            raise ValueError(f"normalize must be 'layer', 'instance' or 'none', got {normalize!r}")
        self.layers, self.normalize = min(layers, encoder.depth), normalize

    def embed(self, request: Request, encoder: Encoder, heads: Sequence[nn.Module]) -> Target:
        if request.index is None:
            encoded = request.encode(encoder, request.view, True, 0)
            z, valid = encoded.pooled, encoded.valid.any(dim=1)
            if request.rows is not None and request.view.rows is None:
                z, valid = z[request.rows], valid[request.rows]
            return Target(project(heads, z, valid).float(), valid)
        encoded = request.encode(encoder, request.view, False, self.layers if self.layers > 1 else 0)
        states = encoded.layers[-self.layers :] if self.layers > 1 else (encoded.tokens,)
        tokens = torch.stack([normalize_tokens(s, encoded.valid, self.normalize) for s in states]).mean(dim=0)
        target = request.take(tokens, encoded.valid)
        return Target(project(heads, target.values, target.valid).float(), target.valid)


@register("target", "ema")
class EMATarget(_Latent):
    """An exponential moving average of the encoder (and of heads), without gradient (BYOL, I-JEPA, data2vec).

    momentum: number or schedule. layers: average of the last layers (data2vec; all where there are fewer), each
    normalised. head: names of heads whose moving average is applied to the embedding.
    """

    def __init__(
        self,
        spec: SequenceSpec,
        encoder: Encoder,
        heads: Mapping[str, nn.Module],
        *,
        momentum: float | dict[str, Any] = 0.996,
        layers: int = 1,
        normalize: str = "layer",
        head: str | list[str] | None = None,
    ) -> None:
        super().__init__(encoder, layers, normalize)
        self.momentum = schedule(momentum, "momentum")
        self._online = [encoder, *chain(heads, names_of(head))]  # a plain list: the online weights are not ours to save
        self.average = nn.ModuleList(copy.deepcopy(m) for m in self._online)
        self.average.requires_grad_(False)

    @property
    def encoder(self) -> Encoder:
        return self.average[0]  # type: ignore[return-value]

    @torch.no_grad()
    def forward(self, request: Request) -> Target:
        return self.embed(request, self.encoder, list(self.average[1:]))

    @torch.no_grad()
    def after_step(self, step: int, total: int) -> None:
        move_towards(self.average, self._online, 1.0 - self.momentum(step, total))


def move_towards(average: Iterable[nn.Module], online: Iterable[nn.Module], share: float) -> None:
    """Move each average a share of the way to the module it follows; buffers are copied."""
    for mine, other in zip(average, online, strict=True):
        ours = [p.data for p in mine.parameters()]
        if ours:
            theirs = [p.data for p in other.parameters()]
            torch._foreach_lerp_(ours, theirs, share)  # pyright: ignore[reportPrivateImportUsage]
        for kept, new in zip(mine.buffers(), other.buffers(), strict=True):
            kept.copy_(new)


@register("target", "centred")
class CentredPrototypes(EMATarget):
    """DINO's target (Caron et al. 2021, https://arxiv.org/abs/2104.14294): softmax((s - centre) / temperature).

    s are prototype scores of the moving average; the centre is a moving average of the batch mean of s over all ranks.
    """

    centre: Tensor
    progress: Tensor  # (step, total) of the last update, so that the temperature's schedule survives a resume

    def __init__(
        self,
        spec: SequenceSpec,
        encoder: Encoder,
        heads: Mapping[str, nn.Module],
        *,
        head: str | list[str],
        momentum: float | dict[str, Any] = 0.996,
        temperature: float | dict[str, Any] = 0.04,
        centre_momentum: float = 0.9,
    ) -> None:
        super().__init__(spec, encoder, heads, momentum=momentum, head=head)
        self.temperature = schedule(temperature, "temperature")
        self.centre_momentum = centre_momentum
        self.register_buffer("centre", torch.zeros(getattr(chain(heads, names_of(head))[-1], "out", 1)))
        self.register_buffer("progress", torch.zeros(2, dtype=torch.long))
        self._seen: list[Tensor] = []

    @torch.no_grad()
    def forward(self, request: Request) -> Target:
        scores = super().forward(request)
        if self.training:
            seen = gather_rows(scores.values[scores.valid])
            if len(seen):
                self._seen.append(seen.mean(dim=0))
        step, total = self.progress.tolist()
        values = torch.softmax((scores.values - self.centre) / self.temperature(step, total), dim=-1)
        return Target(values, scores.valid)

    @torch.no_grad()
    def after_step(self, step: int, total: int) -> None:
        super().after_step(step, total)
        self.progress.copy_(torch.tensor([step, total]))
        if self._seen:
            mean = torch.stack(self._seen).mean(dim=0)
            self.centre.lerp_(mean, 1.0 - self.centre_momentum)
            self._seen.clear()


@register("target", "self")
class SelfTarget(_Latent):
    """The online encoder itself: SimSiam with `stop_gradient`, VICReg, Barlow Twins and LeJEPA without."""

    def __init__(
        self,
        spec: SequenceSpec,
        encoder: Encoder,
        heads: Mapping[str, nn.Module],
        *,
        stop_gradient: bool = False,
        layers: int = 1,
        normalize: str = "none",
        head: str | list[str] | None = None,
    ) -> None:
        super().__init__(encoder, layers, normalize)
        self.stop_gradient = stop_gradient
        self._online: list[nn.Module] = [encoder, *chain(heads, names_of(head))]  # shared, not owned

    def forward(self, request: Request) -> Target:
        target = self.embed(request, self._online[0], self._online[1:])  # type: ignore[arg-type]
        return Target(target.values.detach(), target.valid) if self.stop_gradient else target
