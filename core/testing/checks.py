"""Checks by name: how one is registered, what it may raise, and how it is run.

A check is a function of a `Case` that returns nothing. It says what is wrong through `expect`, in one sentence: what
was got, what is expected, and the fix, which is the check's own unless the place says otherwise. An exception of the
adapter becomes such a sentence too. Each run gets a fresh case, so no check can disturb another.
"""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch

from ..modality import Modality
from .case import Case

Function = Callable[[Case], None]

THEMES = (
    "contract", "reading", "windows", "patches", "patchify", "sensors", "augmentation", "maskers", "tasks", "events",
    "ranking", "demo", "training",
)  # fmt: skip
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Check:
    """name: also that of its function. theme: the module it stands in. fix: what helps when it fails."""

    name: str
    theme: str
    fix: str
    function: Function


_CHECKS: dict[str, Check] = {}


class CheckFailed(AssertionError):
    """The adapter breaks the contract."""


class Broken(Exception):
    """Raised by `expect`; `run_check` makes the sentence."""

    def __init__(self, got: object, expected: object, fix: str | None) -> None:
        super().__init__(got)
        self.got, self.expected, self.fix = got, expected, fix


class NotApplicable(Exception):
    """The check has nothing to look at in this adapter; the message says why."""


@dataclass(frozen=True)
class Outcome:
    """Result of one check. state: "passed", "failed", "expected" (failed as declared), "unexpected" (was declared to
    fail but passes) or "skipped" (does not apply). message: one sentence, "" when passed."""

    name: str
    theme: str
    state: str
    message: str = ""


def check(*, fix: str) -> Callable[[Function], Function]:
    """Decorator: register a check under its own name and its module's theme. fix: what helps when it fails."""

    def add(function: Function) -> Function:
        name, theme = function.__name__, function.__module__.rpartition(".")[2]
        if name in _CHECKS:
            raise ValueError(f"two checks are called {name!r}")
        _CHECKS[name] = Check(name, theme, fix, function)
        return function

    return add


def all_checks() -> dict[str, Check]:
    """{name: check} in the order of the themes."""
    for theme in THEMES:
        import_module(f".{theme}", __package__)
    return dict(sorted(_CHECKS.items(), key=lambda entry: THEMES.index(entry[1].theme)))


def expect(holds: object, *, got: object, expected: object, fix: str | None = None) -> None:
    """Fail the check unless `holds`. fix: instead of the check's own."""
    if not holds:
        fail(got=got, expected=expected, fix=fix)


def fail(*, got: object, expected: object, fix: str | None = None) -> NoReturn:
    """Fail the check."""
    raise Broken(got, expected, fix)


def need(holds: object, why: str) -> None:
    """Raise NotApplicable unless `holds`."""
    if not holds:
        raise NotApplicable(why)


def run_check(modality: Modality, name: str) -> Outcome:
    """Run one check on a fresh case."""
    check = all_checks()[name]
    try:
        check.function(Case(modality))
    except NotApplicable as reason:
        return Outcome(name, check.theme, "skipped", str(reason))
    except Broken as broken:
        return Outcome(name, check.theme, "failed", _sentence(broken.got, broken.expected, broken.fix or check.fix))
    except Exception as error:  # an adapter may fail in any way; the other checks go on
        got = f"{type(error).__name__}: {error}{_place(error)}"
        return Outcome(name, check.theme, "failed", _sentence(got, "no exception", "correct that line"))
    return Outcome(name, check.theme, "passed")


def _place(error: BaseException) -> str:
    """Where an exception left the adapter's own code: its last frame outside core, Python and torch."""
    foreign = (_HERE.parent, Path(sysconfig.get_path("stdlib")), Path(torch.__file__).parent, Path(np.__file__).parent)
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if not any(Path(f.filename).is_relative_to(folder) for folder in foreign)]
    return f" (in {own[-1].name}, {Path(own[-1].filename).name}:{own[-1].lineno})" if own else ""


def _sentence(got: object, expected: object, fix: str) -> str:
    return " ".join(f"got {got}, expected {expected}; {fix}".split())
