"""A quantiser of vectors into several small codes: x is about mean + the sum of one centre of each codebook.

Direct-sum codebooks, as k2-fsa's multi_quantization trains them for distillation. They have no order and are trained
jointly (`training`); any number of codebooks of any number of entries. A code is one integer below `entries` for each
codebook, a frame so many bytes at 256 entries.

    quantizer = train_quantizer(frames, codebooks=8)    # [frame, dim]
    codes = quantizer.encode(frames)                     # [frame, 8]
    quantizer.save("codes.safetensors"); Quantizer.load("codes.safetensors").decode(codes)
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ....core.errors import CorruptFileError, InputError
from .search import States, Tables, beam, refine

_FORMAT = "omnipatch-mvq-1"
_BLOCK_BYTES = 1 << 23  # of intermediate costs, which should stay in cache


class Quantizer(nn.Module):
    """mean: [dim]; centres: [codebook, entry, dim]."""

    mean: Tensor
    centres: Tensor

    def __init__(self, centres: Tensor, mean: Tensor | None = None) -> None:
        super().__init__()
        if centres.ndim != 3 or 0 in centres.shape:
            raise InputError("centres have the wrong shape", got=list(centres.shape), expected="[codebook, entry, dim]")
        mean = centres.new_zeros(centres.shape[2]) if mean is None else mean
        if mean.shape != centres.shape[2:]:
            raise InputError("mean and centres differ in dimension", got=len(mean), expected=centres.shape[2])
        self.register_buffer("centres", centres.detach().float().clone())
        self.register_buffer("mean", mean.detach().float().clone())
        self._tables: Tables | None = None

    @property
    def codebooks(self) -> int:
        return self.centres.shape[0]

    @property
    def entries(self) -> int:
        return self.centres.shape[1]

    @property
    def dim(self) -> int:
        return self.centres.shape[2]

    def set_centres(self, centres: Tensor) -> None:
        """Exchange the centres for others of the same shape."""
        self.centres.copy_(centres)
        self._tables = None

    @torch.no_grad()
    def encode(self, x: Tensor | np.ndarray, width: int = 8, sweeps: int = 2) -> Tensor:
        """[..., dim] -> codes [..., codebook] int64.

        width: states that the search keeps, more = slower and nearer. sweeps: of refinement, at most.
        Raises InputError for another dimension, numbers that are not finite, or no state to keep.
        """
        x = torch.as_tensor(x)
        if width < 1 or sweeps < 0:
            raise InputError(
                "a search keeps at least one state", got=f"width {width}, sweeps {sweeps}",
                expected="width 1 or more, sweeps 0 or more",
            )  # fmt: skip
        if x.shape[-1:] != self.mean.shape:
            raise InputError("vectors of another dimension", got=list(x.shape), expected=f"[..., {self.dim}]")
        flat = x.reshape(-1, self.dim).float()
        if not torch.isfinite(flat).all():
            raise InputError("vectors to encode must be finite", got="NaN or infinite", fix="leave such frames out")
        tables = self.tables()
        step = max(1, _BLOCK_BYTES // (4 * width * self.entries))
        found = [self._search(part, tables, width, sweeps).codes[:, 0] for part in flat.split(step)]
        rows = torch.cat(found) if found else torch.zeros(0, self.codebooks, dtype=torch.long, device=x.device)
        first = torch.arange(self.codebooks, device=x.device) * self.entries
        return (rows - first).reshape(*x.shape[:-1], self.codebooks)

    @torch.no_grad()
    def decode(self, codes: Tensor | np.ndarray) -> Tensor:
        """Codes [..., codebook] -> [..., dim]. Raises InputError for codes of another quantiser, or with fractions."""
        codes = torch.as_tensor(codes)
        if codes.is_floating_point():
            raise InputError("codes are whole numbers", got=codes.dtype, fix="leave unknown ones out, and convert them")
        if codes.shape[-1] != self.codebooks:
            raise InputError("another number of codebooks", got=codes.shape[-1], expected=self.codebooks)
        if codes.numel() and not 0 <= int(codes.min()) <= int(codes.max()) < self.entries:
            raise InputError("a code is not an entry", got=int(codes.max()), expected=f"0 to {self.entries - 1}")
        rows = codes + torch.arange(self.codebooks, device=codes.device) * self.entries
        flat = nn.functional.embedding_bag(rows.reshape(-1, self.codebooks), self.centres.flatten(0, 1), mode="sum")
        return self.mean + flat.reshape(*codes.shape[:-1], self.dim)

    def relative_error(self, x: Tensor, codes: Tensor) -> float:
        """Squared error as a share of the squared distance from the mean of `x`."""
        x = x.reshape(-1, self.dim).float()
        error = (x - self.decode(codes).reshape(-1, self.dim)).square().sum(dtype=torch.double)
        return float(error / (x - x.mean(dim=0)).square().sum(dtype=torch.double).clamp(min=1e-20))

    def tables(self) -> Tables:
        """Products of the centres, made once."""
        if self._tables is None or self._tables.norms.device != self.centres.device:
            self._tables = Tables.of(self.centres)
        return self._tables

    def _search(self, x: Tensor, tables: Tables, width: int, sweeps: int) -> States:
        products = tables.products(x - self.mean)
        return refine(products, tables, beam(products, tables, width), sweeps)

    # ---- files ------------------------------------------------------------------------------------------------

    @property
    def fingerprint(self) -> str:
        """Sixteen letters that codes of this quantiser, and of no other, can be stored under."""
        digest = hashlib.sha256(self.mean.cpu().numpy().tobytes())
        digest.update(self.centres.cpu().numpy().tobytes())
        return digest.hexdigest()[:16]

    def save(self, path: Path | str) -> None:
        """Write a safetensors file, beside its place and then into it; folders on the way are made."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        tensors = {"centres": self.centres.cpu().contiguous(), "mean": self.mean.cpu().contiguous()}
        part = Path(path).with_name(f"{Path(path).name}.part")
        save_file(tensors, part, metadata={"format": _FORMAT})
        os.replace(part, path)

    @classmethod
    def load(cls, path: Path | str) -> Quantizer:
        """Read what `save` wrote. Raises CorruptFileError."""
        try:
            with safe_open(path, framework="pt") as file:
                if (file.metadata() or {}).get("format") != _FORMAT:
                    raise CorruptFileError("not a quantiser", source=path, expected=f"format {_FORMAT}")
                return cls(file.get_tensor("centres"), file.get_tensor("mean"))
        except (OSError, SafetensorError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise CorruptFileError("cannot be read as a quantiser", source=path, got=error) from error
