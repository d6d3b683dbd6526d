"""The suite is shared by workers; what somebody tries by hand is not."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from workers_kit import FEW_FILES, MOST, usable_cores, worker_count

TESTS = Path(__file__).resolve().parent
HERE = str(Path(__file__).resolve())
MANY = [str(path) for path in sorted(TESTS.glob("test_*.py"))][: FEW_FILES + 1]


@pytest.mark.parametrize(("cores", "workers"), [(1, 0), (2, 2), (4, 4), (64, MOST)])
@pytest.mark.parametrize("named", [[str(TESTS)], MANY], ids=["folder", "files"])
def test_the_suite_takes_the_cores_of_the_machine(named, cores, workers):
    assert worker_count(named, cores) == workers


@pytest.mark.parametrize("named", [[HERE], [f"{HERE}::test_a"], [f"{name}::test_a" for name in MANY[1:]]], ids=len)
def test_a_test_or_a_few_files_start_at_once(named):
    assert worker_count(named, 64) == 0


def test_output_that_somebody_watches_comes_from_one_process():
    assert worker_count([str(TESTS)], 64, watched=True) == 0


def test_cores_are_those_of_the_process():
    assert usable_cores() >= 1


@pytest.mark.parametrize(
    ("named", "capture", "shared"), [(str(TESTS), "fd", True), (HERE, "fd", False), (str(TESTS), "no", False)]
)
def test_pytest_asks_for_it(pytestconfig, named, capture, shared):
    asked = getattr(pytestconfig.hook, "pytest_xdist_auto_num_workers", None)
    if asked is None:
        pytest.skip("a run without pytest-xdist")
    config = SimpleNamespace(args=[named], option=SimpleNamespace(capture=capture))
    assert asked(config=config) == (worker_count([str(TESTS)], usable_cores()) if shared else 0)


def test_the_tests_run_without_the_plugin():
    options = ["-p", "no:xdist", "-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib"]
    command = [sys.executable, "-m", "pytest", *options, f"{HERE}::test_cores_are_those_of_the_process"]
    done = subprocess.run(command, cwd=TESTS.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
