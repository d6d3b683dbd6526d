"""The public functions of the conformance kit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from ..errors import InputError, nearest
from ..modality import Modality
from .checks import Outcome, all_checks, run_check
from .report import Report

if TYPE_CHECKING:
    import pytest


def check_names() -> list[str]:
    """Names of all checks, by theme."""
    return list(all_checks())


def check_modality(
    modality: type[Modality] | Modality,
    *,
    expected_failed: Mapping[str, str] | None = None,
    on_fail: Literal["raise", "report"] = "raise",
) -> Report:
    """Hold an adapter against the whole contract.

    modality: the class (checked with its default configuration) or a configured instance.
    expected_failed: {check: reason} of checks known to fail. One that passes counts as a failure, so that no stale
        exception hides a later fault.
    on_fail: "report" only returns the report.

    Raises AssertionError that lists every failure; InputError for an unknown check in `expected_failed`.
    """
    made, declared = instance(modality), known_checks(expected_failed)
    report = Report(
        str(getattr(made, "name", type(made).__name__)),
        tuple(_judged(run_check(made, name), declared) for name in check_names()),
    )
    if on_fail == "raise" and not report.ok:
        raise AssertionError(report.complaint())
    return report


def modality_checks(
    modality: type[Modality] | Modality, *, expected_failed: Mapping[str, str] | None = None
) -> pytest.MarkDecorator:
    """Decorator for a test function with an argument `check`: it becomes one test for each check of the kit."""
    import pytest

    return pytest.mark.modality_checks(modality, expected_failed=known_checks(expected_failed))


def instance(modality: type[Modality] | Modality) -> Modality:
    """The adapter itself, made with its defaults when a class is given. Raises InputError for anything else."""
    made: Any = modality
    if isinstance(modality, type):
        try:
            made = modality()
        except Exception as error:  # whatever a constructor of a stranger raises
            raise InputError(
                f"{modality.__name__} cannot be made with its default configuration",
                got=f"{type(error).__name__}: {error}",
            ) from error
    if not isinstance(made, Modality):
        raise InputError("not an adapter", got=type(made).__name__, expected="a subclass of omnipatch.Modality")
    return made


def known_checks(expected_failed: Mapping[str, str] | None) -> dict[str, str]:
    """The declaration, its names checked."""
    declared = dict(expected_failed or {})
    for name in declared:
        if name not in all_checks():
            raise InputError(f"expected_failed names an unknown check {name!r}", fix=nearest(name, all_checks()))
    return declared


def _judged(outcome: Outcome, declared: Mapping[str, str]) -> Outcome:
    if outcome.name not in declared:
        return outcome
    if outcome.state == "failed":
        return replace(outcome, state="expected", message=f"{declared[outcome.name]} ({outcome.message})")
    message = f"got {outcome.state}, expected a failure ({declared[outcome.name]}); take it off expected_failed"
    return replace(outcome, state="unexpected", message=message)
