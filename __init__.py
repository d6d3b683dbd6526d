"""omnipatch: one self-supervised core for every signal that is not an image.

Importing this package is cheap: each public name loads its module on first use (PEP 562), so the command
line answers before torch is needed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

# public name -> the module that defines it
_EXPORTS = {
    "PatchSequence": ".core.sequence",
    "SequenceSpec": ".core.sequence",
    "Events": ".core.sequence",
    "Modality": ".core.modality",
    "Recording": ".core.modality",
    "Window": ".core.modality",
    "Task": ".core.modality",
    "Objective": ".core.objective",
    "OmnipatchError": ".core.errors",
    "InputError": ".core.errors",
    "list_modalities": ".core.registry",
    "load_modality": ".core.registry",
    "check_modality": ".core.testing",
}

__all__ = [
    "Events",
    "InputError",
    "Modality",
    "Objective",
    "OmnipatchError",
    "PatchSequence",
    "Recording",
    "SequenceSpec",
    "Task",
    "Window",
    "__version__",
    "check_modality",
    "list_modalities",
    "load_modality",
]

if TYPE_CHECKING:
    from .core.errors import InputError, OmnipatchError
    from .core.modality import Modality, Recording, Task, Window
    from .core.objective import Objective
    from .core.registry import list_modalities, load_modality
    from .core.sequence import Events, PatchSequence, SequenceSpec
    from .core.testing import check_modality


def __getattr__(name: str) -> object:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'omnipatch' has no attribute {name!r}")
    return getattr(importlib.import_module(_EXPORTS[name], __name__), name)


def __dir__() -> list[str]:
    return __all__
