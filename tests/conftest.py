"""Shared by all tests: one thread, workers, a cache of their own, the toy modality by name, what is skipped."""

from __future__ import annotations

import os

import hypothesis
import pytest
from cli_kit import toy_installed
from workers_kit import usable_cores, worker_count

# how long an example takes says more about the machine's other work than about the code
hypothesis.settings.register_profile("shared machine", deadline=None)
hypothesis.settings.load_profile("shared machine")

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(optionalhook=True)  # a run with -p no:xdist does not know it
def pytest_xdist_auto_num_workers(config):
    """What `-n auto` of pyproject.toml means; any other `-n` is taken as it is."""
    return worker_count(config.args, usable_cores(), watched=config.option.capture == "no")


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory):
    """No test reads or fills the user's window cache; all tests of a worker share one (fixtures of modules too)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMNIPATCH_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        yield


@pytest.fixture
def toy_registered():
    """`--modality toy` works as if a package had installed it."""
    with toy_installed():
        yield


@pytest.fixture(scope="module")
def toy_registered_throughout():
    """The same for a whole module, fixtures that outlive one test included."""
    with toy_installed():
        yield


def pytest_collection_modifyitems(config, items):
    """`slow` runs when it is asked for by `-m slow`; `real_data` when OMNIPATCH_DATA is set."""
    slow = pytest.mark.skip(reason="slow: run with -m slow")
    absent = pytest.mark.skip(reason="needs OMNIPATCH_DATA")
    for item in items:
        if "slow" in item.keywords and "slow" not in config.option.markexpr:
            item.add_marker(slow)
        if "real_data" in item.keywords and not os.environ.get("OMNIPATCH_DATA"):
            item.add_marker(absent)
