"""`omnipatch new-modality`: what it writes is a distribution of its own that works without a change to the core."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest
from cli_kit import omni
from omnipatch import InputError, OmnipatchError
from omnipatch.core import registry
from omnipatch.core.scaffold import write_modality

PIP = (
    "-m",
    "pip",
    "install",
    "--quiet",
    "--no-deps",
    "--no-build-isolation",
    "--no-index",
    "--disable-pip-version-check",
)


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    return write_modality("eye_tracking", tmp_path_factory.mktemp("written"))


@pytest.fixture(scope="module")
def site(written, tmp_path_factory) -> Path:
    """Where pip has installed it, beside omnipatch."""
    target = tmp_path_factory.mktemp("site")
    subprocess.run([sys.executable, *PIP, "--target", str(target), str(written)], check=True)
    return target


def python(site: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # -P: what is imported is what was installed, not what lies in the working directory
    environment = {**os.environ, "PYTHONPATH": str(site)}
    return subprocess.run(
        [sys.executable, "-P", *arguments], cwd=cwd, env=environment, text=True, capture_output=True, check=False
    )


def test_its_own_tests_pass_with_the_kit(written, site):
    done = python(site, written, "-m", "pytest", "-W", "error", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout[-3000:]
    assert "failed" not in done.stdout


def test_its_recipe_pretrains(written, site, tmp_path):
    recipe = str(written / "eye_tracking-jepa.yaml")
    run = tmp_path / "run"
    done = python(site, tmp_path, "-m", "omnipatch", "pretrain", recipe, "--trainer.max_steps", "2", "--out", str(run))
    assert done.returncode == 0, done.stderr
    assert (run / "model" / "weights.safetensors").is_file()


def test_class_is_short_and_every_line_is_short(written):
    text = (written / "src" / "omnipatch_eye_tracking" / "modality.py").read_text()
    cls = next(n for n in ast.parse(text).body if isinstance(n, ast.ClassDef) and n.name == "EyeTracking")
    assert (cls.end_lineno or 0) - cls.lineno + 1 <= 100
    assert max(map(len, text.splitlines())) <= 120
    assert "$" not in "".join(path.read_text() for path in written.rglob("*.*") if path.is_file())


def test_the_verb_says_where_it_wrote(tmp_path):
    done = omni("new-modality", "gait", "--out", tmp_path)
    assert done.code == 0
    assert done.out.strip() == str(tmp_path / "omnipatch-gait")
    assert "next: pip install -e" in done.err


@pytest.mark.parametrize("name", ["Gait", "1st", "my-sensor", "a b", "a__b", "_a", "../x", "", "é"])
def test_bad_name(name, tmp_path):
    done = omni("new-modality", name, "--out", tmp_path)
    assert done.code == 2
    assert "not a name for a modality" in done.complaint
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["class", "json"])
def test_name_that_python_has(name, tmp_path):
    with pytest.raises(InputError, match="means something else to Python"):
        write_modality(name, tmp_path)


def test_name_of_a_built_in(tmp_path):
    assert "modality 'ecg' is taken by omnipatch" in omni("new-modality", "ecg", "--out", tmp_path).complaint


def test_name_of_another_package(tmp_path, monkeypatch):
    other = EntryPoint("gait", "other:Gait", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [*entry_points(group=group), other])
    with pytest.raises(InputError, match="modality 'gait' is taken"):
        write_modality("gait", tmp_path)


def test_existing_folder_is_left_alone(tmp_path):
    write_modality("gait", tmp_path)
    mine = tmp_path / "omnipatch-gait" / "src" / "omnipatch_gait" / "modality.py"
    mine.write_text("my work")
    with pytest.raises(InputError, match="the folder exists; choose another --out or remove it"):
        write_modality("gait", tmp_path)
    assert mine.read_text() == "my work"


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OmnipatchError, match="cannot be written"):
        write_modality("gait", tmp_path / "file")
