"""The checks of one adapter as pytest parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from ..modality import Modality
from .checks import CheckFailed, run_check
from .kit import check_names, instance, known_checks


def check_parameters(modality: type[Modality] | Modality, expected_failed: Mapping[str, str] | None = None) -> list:
    """One `pytest.param` a check, named after it; a declared failure is a strict xfail with its reason."""
    made, declared = instance(modality), known_checks(expected_failed)
    return [
        pytest.param(
            _bound(made, name),
            id=name,
            marks=[pytest.mark.xfail(reason=declared[name], strict=True, raises=CheckFailed)]
            if name in declared
            else (),
        )
        for name in check_names()
    ]


def _bound(modality: Modality, name: str) -> Callable[[], None]:
    def check() -> None:
        __tracebackhide__ = True  # the sentence says it all; frames of the kit would only hide it
        outcome = run_check(modality, name)
        if outcome.state == "skipped":
            pytest.skip(outcome.message)
        if outcome.state == "failed":
            raise CheckFailed(outcome.message)

    return check
