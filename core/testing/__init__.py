"""The conformance kit: the adapter contract as named checks (in the spirit of scikit-learn's `check_estimator`).

    from omnipatch.core.testing import check_modality, modality_checks

    check_modality(Gait)            # every check; raises AssertionError that lists all that fail

    @modality_checks(Gait)          # in a test file: one test for each check
    def test_contract(check):
        check()

Rooms: `checks` (registry and how one check is run), `case` (what a check looks at), `compare`, `report`, `kit` (the
public functions), `parameters` and `plugin` (pytest); the checks by theme: `contract`, `reading`, `windows`, `patches`,
`patchify`, `sensors`, `augmentation`, `maskers`, `tasks`, `events`, `demo`, `training`.

pytest imports the plug-in of this package at its start, so nothing here may import torch before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["check_modality", "check_names", "modality_checks"]

if TYPE_CHECKING:
    from .kit import check_modality, check_names, modality_checks


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import kit

    return getattr(kit, name)
