"""The trained head of attentive probing and fine-tuning: learned queries read tokens around an item.

- Attentive probing follows V-JEPA (Bardes et al. 2024, https://arxiv.org/abs/2404.08471): a few learned queries attend
  over the tokens. For an event the queries see the tokens in its neighbourhood with their time relative to it, so they
  can learn where in a beat to look; for a window they see all tokens.
- Relative time enters keys and values additively. So scores split into a part of the token and a part of the time,
  and all events of a window are read with two small matrix products; no neighbourhood is copied out.
- What the linear probe reads (`readout`) stands beside the queries, so the head starts from a useful vector and the
  queries only need to find what that misses.
- Side features join twice: in the hidden layer, and as a direct linear path.
- What the linear probe reads may have a direct path too, which then begins as that probe (`head_start`).
- Where a task knows something beforehand (`Task.given`), everything up to the hidden layer is shared, and each thing
  given has rows of its own in all that leads to the logits.
"""

from __future__ import annotations

import math

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from ..modality import Task
from ..sequence import SequenceSpec
from .readout import Readout
from .scaling import CLIP, Standardizer

QUERIES = 4
HIDDEN = 96
FREQUENCIES = 8
_HIDDEN_SCORE = -1e9  # finite, so that a row without any valid token stays finite


def neighbourhood(task: Task, spec: SequenceSpec) -> float | None:
    """How far from an event its tokens are read, in the unit of the first axis; None for tasks of whole windows."""
    if task.unit != "event":
        return None
    step = spec.axis_scales[0]
    return max(max((abs(o) for o in task.offsets), default=0.0), 2 * step) + step


class AttentivePool(nn.Module):
    """[row, patch, width] tokens -> [row, event, queries * width].

    radius: neighbourhood of an event; None = every token counts wherever it is.
    """

    frequencies: Tensor

    def __init__(self, width: int, radius: float | None, queries: int = QUERIES) -> None:
        super().__init__()
        self.radius = radius
        self.norm = nn.LayerNorm(width)
        self.query = nn.Parameter(torch.randn(queries, width) * width**-0.5)
        self.key, self.value = nn.Linear(width, width, bias=False), nn.Linear(width, width)
        self.place = None if radius is None else nn.Linear(2 * FREQUENCIES, width, bias=False)
        # wavelengths from a quarter of the radius to four times it
        octaves = math.pi / 2 * 2 ** (torch.arange(FREQUENCIES) / 2)
        self.register_buffer("frequencies", octaves, persistent=False)

    def forward(self, tokens: Tensor, valid: Tensor, coords: Tensor, at: Tensor) -> Tensor:
        x = self.norm(tokens.masked_fill(~valid.unsqueeze(-1), 0.0))
        query = self.key.weight.T @ self.query.T  # [width, query]: keys are never formed
        scale = x.shape[-1] ** -0.5
        score = rearrange((x @ query) * scale, "r p q -> r 1 q p").float()
        score = score.masked_fill(~valid[:, None, None, :], _HIDDEN_SCORE)
        if self.place is None:
            mixed = score.softmax(dim=-1).to(x.dtype) @ x.unsqueeze(1)
            return rearrange(self.value(mixed), "r e q w -> r e (q w)").expand(-1, at.shape[1], -1)
        assert self.radius is not None
        distance = (coords[:, None, :, 0] - at.unsqueeze(2)) / self.radius
        waves = self._waves(distance)
        score = score + rearrange(waves @ (self.place.weight.T @ query) * scale, "r e p q -> r e q p").float()
        # outside the neighbourhood the score falls steeply but does not end: a lone event still reads its nearest token
        score = score - rearrange(50.0 * F.relu(distance.abs() - 1.0), "r e p -> r e 1 p")
        share = score.softmax(dim=-1).to(x.dtype)
        mixed = torch.einsum("reqp,rpw->reqw", share, x) + self.place(share @ waves.to(x.dtype))
        return rearrange(self.value(mixed), "r e q w -> r e (q w)")

    def _waves(self, distance: Tensor) -> Tensor:
        angle = distance.clamp(-2, 2).unsqueeze(-1) * self.frequencies
        return torch.cat([angle.sin(), angle.cos()], dim=-1)


class ItemHead(nn.Module):
    """Tokens and side features -> [row, event, class] logits.

    readout: how the task reads an item. radius: see `neighbourhood`. side: scales of the side features.
    models: how many heads there are, one for each thing given.
    """

    side_mean: Tensor
    side_std: Tensor

    def __init__(
        self, width: int, readout: Readout, radius: float | None, side: Standardizer, classes: int, dropout: float,
        models: int = 1,
    ) -> None:  # fmt: skip
        super().__init__()
        n_side, self.classes = len(side.mean), classes
        rows = models * classes
        self.readout, self.pool = readout, AttentivePool(width, radius)
        size = readout.size(width) + QUERIES * width
        self.norm = nn.LayerNorm(size)
        self.tokens = nn.Linear(size, HIDDEN)
        self.side = nn.Linear(n_side, HIDDEN) if n_side else None
        self.direct = nn.Linear(n_side, rows, bias=False) if n_side else None
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(HIDDEN, rows)
        # small logits at the start; the readout keeps torch's larger default, for few steps must find its scale
        nn.init.trunc_normal_(self.out.weight, std=0.02)
        nn.init.zeros_(self.out.bias)
        if self.direct is not None:
            nn.init.zeros_(self.direct.weight)
        self.linear: nn.Linear | None = None  # readout to logits, see `begin`
        self.register_buffer("side_mean", torch.from_numpy(side.mean))
        self.register_buffer("side_std", torch.from_numpy(side.std))

    @property
    def normed(self) -> bool:
        """Whether tokens are read as the encoder's last norm leaves them."""
        return self.readout.normed

    def begin(self, tokens: Tensor, bias: Tensor, side: Tensor) -> None:
        """Give the readout a linear path to the logits, and both linear paths their start.

        tokens: [readout size, given * class]; bias: [given * class]; side: [side feature, given * class], these
        standardised.
        """
        self.linear = nn.Linear(len(tokens), len(bias), device=tokens.device)
        with torch.no_grad():
            self.linear.weight.copy_(tokens.T)
            self.linear.bias.copy_(bias)
            if self.direct is not None:
                self.direct.weight.copy_(side.T)

    def standardize(self, features: Tensor) -> Tensor:
        """Side features in training standard deviations, clipped; missing ones become the mean."""
        return ((features - self.side_mean) / self.side_std).nan_to_num(nan=0.0).clamp(-CLIP, CLIP)

    def forward(
        self, tokens: Tensor, valid: Tensor, coords: Tensor, at: Tensor, side: Tensor, given: Tensor | None = None
    ) -> Tensor:
        """side: [row, event, feature], already standardised. given: [row, event] whose logits, None = the first's."""
        read = self.readout(tokens, valid, coords, at)
        hidden = self.tokens(self.dropout(self.norm(torch.cat([read, self.pool(tokens, valid, coords, at)], dim=-1))))
        if self.side is not None:
            hidden = hidden + self.side(side)
        logits = self.out(self.dropout(F.gelu(hidden))).float()
        if self.direct is not None:
            logits = logits + self.direct(side).float()
        if self.linear is not None:
            with torch.autocast(read.device.type, enabled=False):  # small differences of large numbers
                logits = logits + self.linear(read.float())
        if logits.shape[-1] == self.classes:
            return logits
        heads = rearrange(logits, "r e (g c) -> r e g c", c=self.classes)
        given = torch.zeros_like(at, dtype=torch.long) if given is None else given
        return heads.take_along_dim(given[:, :, None, None], dim=2).squeeze(2)
