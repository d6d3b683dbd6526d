"""Multi-head attention and the pre-norm transformer block.

Design decisions
- One `attend()` for the whole project. On a CPU in bfloat16 a plain matrix product, softmax, matrix product is 2 to 6
  times as fast as `scaled_dot_product_attention` for the short sequences patches make; beyond `PLAIN_LIMIT` keys the
  quadratic score matrix costs more than it saves.
- Padding enters as an additive bias on keys, computed once a forward pass and shared by all layers; it is None when
  every patch is valid, the common case.
- Pre-norm blocks (Xiong et al. 2020, https://arxiv.org/abs/2002.04745), GELU feed-forward, no dropout.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# keys up to which the plain product wins on a CPU with bf16 instructions (2 cores, batch 32, 6 heads of 64)
PLAIN_LIMIT = 512


def key_bias(valid: Tensor) -> Tensor | None:
    """Additive attention bias [row, 1, 1, key] that hides invalid keys, or None when all are valid.

    The bias is large but finite, so a row without any valid key stays finite.
    """
    if bool(valid.all()):
        return None
    bias = torch.zeros(valid.shape, device=valid.device)
    return bias.masked_fill_(~valid, -1e4)[:, None, None, :]


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    """Softmax attention of [row, head, patch, dim] tensors; `bias` is added to the scores."""
    if q.device.type == "cpu" and q.dtype == torch.bfloat16 and k.shape[-2] <= PLAIN_LIMIT:
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
        if bias is not None:
            scores = scores + bias.to(scores.dtype)
        return torch.softmax(scores, dim=-1) @ v
    return F.scaled_dot_product_attention(q, k, v, attn_mask=None if bias is None else bias.to(q.dtype))


class Attention(nn.Module):
    """Multi-head self-attention of [row, patch, width], with optional rotary positions."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} is not a multiple of heads {heads}")
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(
        self,
        x: Tensor,
        bias: Tensor | None = None,
        rotation: tuple[Tensor, Tensor] | None = None,
        start: int = 0,
    ) -> Tensor:
        """[row, patch - start, width]: what the patches from `start` on gather from all of them."""
        q, k, v = self.split(x, rotation)
        y = attend(q[:, :, start:], k, v, bias)
        return self.out(y.transpose(1, 2).flatten(2))

    def split(self, x: Tensor, rotation: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of [row, patch, width], each [row, head, patch, dim]."""
        rows, patches, width = x.shape
        qkv = self.qkv(x).view(rows, patches, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        if rotation is not None:
            q, k = rotate(q, *rotation), rotate(k, *rotation)
        return q, k, v


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding (Su et al. 2021, https://arxiv.org/abs/2104.09864) with given angles [row, 1, patch, dim/2]."""
    a, b = x.chunk(2, dim=-1)
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


class Block(nn.Module):
    """Pre-norm transformer block on [row, patch, width]."""

    def __init__(self, width: int, heads: int, mlp_ratio: float = 4.0) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        hidden = int(width * mlp_ratio)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(
        self,
        x: Tensor,
        bias: Tensor | None = None,
        rotation: tuple[Tensor, Tensor] | None = None,
        start: int = 0,
    ) -> Tensor:
        """[row, patch - start, width]: the patches from `start` on; the others are only looked at."""
        x = x[:, start:] + self.attention(self.norm1(x), bias, rotation, start)
        return x + self.mlp(self.norm2(x))


def init_weights(module: nn.Module) -> None:
    """Truncated normal of width 0.02 for linear maps, as in ViT; biases zero."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
