"""torchaudio without its native library.

torchaudio 2.11 links CUDA: beside a CPU-only torch `import torchaudio` raises OSError, beside another CUDA build
RuntimeError, and transformers and peft fail with it because they import torchaudio whenever it is installed. Every
pure-PyTorch part (mel, MFCC, resampling, kaldi features, models) works without the native library, so where that
cannot load a stub `torchaudio._extension` is registered first. Whatever imports torchaudio, transformers or peft
calls `import_torchaudio` (or `ensure_torchaudio`) before.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType

_STUB = "torchaudio._extension"


def import_torchaudio() -> ModuleType:
    """torchaudio, with the stub where its native library cannot load. Raises ImportError when it is not installed."""
    try:
        return importlib.import_module("torchaudio")
    except (OSError, RuntimeError) as error:
        _forget()
        sys.modules[_STUB] = _stub(str(error))
        return importlib.import_module("torchaudio")


def ensure_torchaudio() -> str:
    """Make `import torchaudio` safe. Returns "absent", "native" or "stub"."""
    if importlib.util.find_spec("torchaudio") is None:
        return "absent"
    import_torchaudio()
    return "stub" if getattr(sys.modules.get(_STUB), "omnipatch_reason", None) else "native"


def _forget() -> None:
    """Drop what the failed import left behind, so that the next one starts afresh."""
    for name in [n for n in sys.modules if n == "torchaudio" or n.startswith("torchaudio.")]:
        del sys.modules[name]


def _stub(reason: str) -> ModuleType:
    stub = ModuleType(_STUB)

    def unavailable(*args: object, **kwargs: object) -> None:
        raise RuntimeError(f"this part of torchaudio needs its native library, which cannot load here: {reason}")

    stub.__dict__.update(
        omnipatch_reason=reason,
        _IS_TORCHAUDIO_EXT_AVAILABLE=False,
        _IS_ALIGN_AVAILABLE=False,
        _IS_RIR_AVAILABLE=False,
        _check_cuda_version=lambda: None,
        lazy_import_sox_ext=unavailable,
        fail_if_no_align=lambda function: unavailable,
        fail_if_no_rir=lambda function: unavailable,
        fail_if_no_sox=lambda function: unavailable,
    )
    return stub
