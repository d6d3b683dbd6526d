"""pytest plug-in of the conformance kit: a test marked `modality_checks` becomes one test for each check.

pytest imports this module at its start in every environment that has omnipatch, so it imports nothing heavy itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

MARK = "modality_checks"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        f"{MARK}(modality, expected_failed={{name: reason}}): one test for each check of the adapter contract",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    mark = metafunc.definition.get_closest_marker(MARK)
    if mark is None:
        return
    from .parameters import check_parameters

    if "check" not in metafunc.fixturenames:
        raise TypeError(f"{metafunc.function.__name__} is marked {MARK}: it needs an argument named check")
    metafunc.parametrize("check", check_parameters(*mark.args, **mark.kwargs))
