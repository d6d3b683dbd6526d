"""Number formats: what `trainer.precision: auto` means on this machine.

Mixed bf16 needs hardware that multiplies it fast (AMX, AVX512-BF16, NVIDIA Ampere and later); elsewhere it is emulated
and slower than float32.
"""

from __future__ import annotations

import contextlib
from functools import cache
from pathlib import Path

import torch

from ..errors import InputError

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
_FAST_CPU_FLAGS = ("amx_bf16", "avx512_bf16")


@cache
def cpu_has_fast_bf16() -> bool:
    """Whether this processor multiplies bf16 matrices in hardware."""
    query = getattr(torch.cpu, "get_capabilities", None)  # newer torch
    if query is not None:
        found = query()
        return any(found.get(flag, False) for flag in _FAST_CPU_FLAGS)
    try:
        flags = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return False
    return any(flag in flags for flag in _FAST_CPU_FLAGS)


def has_fast_bf16(device_type: str) -> bool:
    """Whether a device type ("cpu", "cuda", ...) multiplies bf16 matrices in hardware."""
    if device_type == "cpu":
        return cpu_has_fast_bf16()
    return (
        device_type == "cuda" and torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    )


def device_type(accelerator: str) -> str:
    """The device type Lightning will pick for `trainer.accelerator`."""
    if accelerator in ("auto", "gpu", "cuda"):
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    return accelerator


def resolve_precision(precision: str, accelerator: str = "auto") -> str:
    """Lightning's name for a recipe's precision; "auto" becomes "bf16-mixed" or "32-true".

    Raises InputError for any other: weights that are themselves in half precision lose the small steps of a moving
    average and of AdamW.
    """
    if precision == "auto":
        return "bf16-mixed" if has_fast_bf16(device_type(accelerator)) else "32-true"
    if precision not in PRECISIONS:
        expected = ", ".join(("auto", *PRECISIONS))
        raise InputError("unknown precision", field="trainer.precision", got=precision, expected=expected)
    return precision


def autocast(device: str, precision: str = "auto") -> contextlib.AbstractContextManager:
    """Autocast for code outside the Trainer (feature extraction, probes), under the same rule."""
    resolved = resolve_precision(precision, device)
    if resolved == "bf16-mixed":
        return torch.autocast(device, dtype=torch.bfloat16)
    if resolved == "16-mixed":
        return torch.autocast(device, dtype=torch.float16)
    return contextlib.nullcontext()
