"""What is installed: every room of the tree, nothing beside it, under one name; and that it starts quickly."""

import os
import resource
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("core", "modalities", "recipes")
PACKAGED = {".py", ".yaml", ".css", ".csv", ".txt", ".typed"}


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy, so that a build folder in the tree cannot leak into it nor be left behind."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "tree"
    source.mkdir()
    for name in (*ROOMS, "tests"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, source / path.name)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, source]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", folder, wheel]
    assert subprocess.run(command, capture_output=True).returncode == 0
    return folder


def in_tree() -> set[str]:
    """Files of the rooms that belong into the package, as omnipatch/..."""
    found = [p for room in ROOMS for p in (ROOT / room).rglob("*") if p.suffix in PACKAGED and p.is_file()]
    found += [ROOT / name for name in ("__init__.py", "__main__.py", "py.typed")]
    return {f"omnipatch/{path.relative_to(ROOT).as_posix()}" for path in found}


def test_every_package_of_the_tree_is_named(project):
    rooms = {p.parent.relative_to(ROOT) for room in ROOMS for p in (ROOT / room).rglob("*.py")}
    expected = {"omnipatch", "omnipatch.core", "omnipatch.modalities", "omnipatch.recipes"}
    expected |= {".".join(("omnipatch", *room.parts)) for room in rooms}
    assert set(project["tool"]["setuptools"]["packages"]) == expected
    for room in rooms:
        assert (ROOT / room / "__init__.py").exists(), f"{room} is no package"


def test_the_wheel_holds_the_tree_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == in_tree()
    assert wheel.stat().st_size < 2_000_000


def test_an_installed_wheel_works_outside_the_tree(installed, tmp_path):
    def python(code: str) -> subprocess.CompletedProcess:
        environment = {**os.environ, "PYTHONPATH": str(installed)}
        return subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
        )

    done = python(
        "import sys, omnipatch\n"
        "from omnipatch.core.cli import execute\n"
        "assert execute(['recipes']) == 0\n"
        "assert not {'core', 'modalities', 'recipes'} & set(sys.modules)\n"
        "print(omnipatch.__file__)"
    )
    assert done.returncode == 0, done.stderr
    assert "ecg-jepa" in done.stdout
    assert done.stdout.splitlines()[-1] == str(installed / "omnipatch/__init__.py")
    assert sorted(p.name for p in installed.iterdir() if p.suffix != ".dist-info") == ["bin", "omnipatch"]
    script = installed / "bin/omnipatch"
    assert script.exists()
    again = python(
        f"import runpy, sys; sys.argv = ['omnipatch', '--help']; runpy.run_path({str(script)!r}, run_name='__main__')"
    )
    assert "usage: omnipatch" in again.stdout


def test_modalities_come_by_entry_points(project):
    points = project["project"]["entry-points"]["omnipatch.modalities"]
    folders = {p.name for p in (ROOT / "modalities").iterdir() if (p / "__init__.py").exists()}
    assert set(points) == folders
    for name, target in points.items():
        assert target.startswith(f"omnipatch.modalities.{name}:")


def test_versions_agree(project):
    import omnipatch

    assert project["project"]["version"] == omnipatch.__version__
    assert f"## {omnipatch.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_malicious_releases_are_excluded(project):
    (lightning,) = [d for d in project["project"]["dependencies"] if d.startswith("lightning")]
    assert ">=2.6.4" in lightning


def test_public_names_are_few_and_exist():
    import omnipatch

    assert len(omnipatch.__all__) <= 25
    assert set(omnipatch.__all__) == {*omnipatch._EXPORTS, "__version__"}
    for name in omnipatch.__all__:
        assert getattr(omnipatch, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = omnipatch.nothing


HEAVY = {
    "torch",
    "lightning",
    "numpy",
    "scipy",
    "sklearn",
    "matplotlib",
    "pandas",
    "wfdb",
    "mne",
    "transformers",
    "yaml",
}


@pytest.mark.parametrize(
    ("code", "limit_s"),
    [
        ("import omnipatch", 0.3),
        ("from omnipatch.core.cli import execute; execute(['--help'])", 0.5),
        ("from omnipatch.core.cli import execute; execute(['run', '--help'])", 0.5),
    ],
)
def test_the_start_is_quick_and_imports_nothing_heavy(code, limit_s):
    """Processor time beyond a bare interpreter, the best of several, because the machine may be busy."""

    def spent() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    def best(program: str) -> float:
        times = []
        for _ in range(5):
            began = spent()
            subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
            times.append(spent() - began)
        return min(times)

    report = f"{code}; import sys; print('HEAVY', *({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "HEAVY"
    assert best(code) - best("pass") < limit_s
