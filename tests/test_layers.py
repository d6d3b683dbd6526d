"""The rooms of docs/architecture.md hold: who imports whom, what an import costs, and that no recipe imports code."""

from __future__ import annotations

import ast
import itertools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import omnipatch
import pytest
from omnipatch import InputError
from omnipatch.core.settings import load

ROOT = Path(omnipatch.__file__).parent

# lowest floor first; a module imports only from rooms before its own, or from its own
ROOMS = (
    "errors", "rng", "signals", "sequence", "batching", "distributed", "compat",
    "seeing", "recording", "crop", "known", "ranking", "task", "modality", "registry",
    "blocks",
    "objectives", "compose", "scope", "objective",
    "config", "settings_yaml", "settings_check", "settings",
    "data",
    "train",
    "console", "prepared", "trained", "run_folder",
    "downstream",
    "report",
    "dry_run", "doctor", "fold", "fold_process", "fold_workers", "run",
    "scaffold", "testing",
    "output_file", "files",
    "verbs_compare", "verbs_data", "verbs_ids", "verbs_info", "verbs_model", "verbs_predict", "verbs_rank",
    "verbs_recipe",
    "cli_verbs", "cli",
)  # fmt: skip

# the only places that import by a computed name; all names are literals of this package or entry points
IMPORT_BY_NAME = {
    "__init__.py", "core/blocks/registry.py", "core/cli_verbs.py", "core/compat.py", "core/testing/checks.py",
}  # fmt: skip

# what others call with a trained encoder in hand: an interface of the field, kept in the folder of its modality
FRONTS = {"modalities/speech/hear.py": "train"}


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[str, ...]]:
    """Modules of this package that a file imports anywhere, also lazily, as parts below `omnipatch`."""
    return imported(path.read_text(encoding="utf-8"), path.relative_to(ROOT).parts[:-1])


def imported(code: str, package: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom):
            module = tuple(node.module.split(".")) if node.module else ()
            if node.level:
                base = (*package[: len(package) - node.level + 1], *module)
                # `from . import a, b` imports modules; otherwise names of one module
                yield from ((*base, alias.name) for alias in node.names) if not module else (base,)
            elif module[0] == "omnipatch":
                yield module[1:]
        elif isinstance(node, ast.Import):
            yield from (tuple(a.name.split("."))[1:] for a in node.names if a.name.split(".")[0] == "omnipatch")


def room(parts: tuple[str, ...]) -> str:
    return parts[1].removesuffix(".py")


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("from ...modalities.ecg import ECG", ("modalities", "ecg")),
        ("def f():\n    from ..errors import InputError", ("core", "errors")),
        ("from . import store", ("core", "data", "store")),
        ("from .. import sequence", ("core", "sequence")),
        ("import omnipatch.modalities.ecg", ("modalities", "ecg")),
        ("from omnipatch.core import errors", ("core",)),
    ],
)
def test_every_form_of_import_is_seen(code, found):
    assert list(imported(code, ("core", "data"))) == [found]


def test_every_file_of_the_core_has_a_room():
    found = {room(path.relative_to(ROOT).parts) for path in sources("core")} - {"__init__"}
    assert found == set(ROOMS)


@pytest.mark.parametrize("path", sources("core"), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_from_lower_floors_only(path):
    own = room(path.relative_to(ROOT).parts)
    if own == "__init__":
        assert not list(imports(path))
        return
    for parts in imports(path):
        assert parts[0] == "core", f"{path} imports {'.'.join(parts)}"
        assert ROOMS.index(room(parts)) <= ROOMS.index(own), f"{own} imports {room(parts)}, which lies above it"


@pytest.mark.parametrize("path", sources("modalities"), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_modality_imports_the_vocabulary_and_itself_only(path):
    """And the blocks, which it may add to."""
    own = path.relative_to(ROOT).parts[1]
    highest = ROOMS.index(FRONTS.get(str(path.relative_to(ROOT)), "blocks"))
    for parts in imports(path):
        if parts[0] == "modalities":
            assert parts[1] == own, f"{path} imports another modality: {'.'.join(parts)}"
        else:
            assert parts[0] == "core"
            assert ROOMS.index(room(parts)) <= highest, f"{path} imports {'.'.join(parts)}"


@pytest.mark.parametrize("path", sources("core", "modalities"), ids=lambda path: str(path.relative_to(ROOT)))
def test_inside_the_package_imports_are_relative(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        assert not [n for n in names if n.split(".")[0] in ("omnipatch", "core", "modalities", "recipes")]


def test_the_architecture_page_draws_the_same_floors():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page[page.index("| room | holds |") : page.index("`core` never imports `modalities`")]
    cells = [line.split("|")[1] for line in table.splitlines()[2:] if line.startswith("|")]
    drawn = [sorted(ROOMS.index(name.rstrip("/")) for name in re.findall(r"`([^`]+)`", cell)) for cell in cells]
    *stack, beside = drawn  # the last row stands beside the stack
    assert all(low[-1] < high[0] for low, high in itertools.pairwise(stack))
    assert beside == [ROOMS.index("scaffold"), ROOMS.index("testing")]


@pytest.mark.parametrize(
    "code",
    ["import omnipatch", "import omnipatch.core.cli", "from omnipatch.core.cli import execute; execute(['--help'])"],
)
def test_the_command_line_answers_without_heavy_imports(code):
    heavy = ("torch", "lightning", "numpy", "scipy", "sklearn", "wfdb", "mne", "transformers", "matplotlib")
    bare = ("core", "modalities", "recipes")
    check = f"print([m for m in {(*heavy, *bare)!r} if m in sys.modules], file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\n{check}"], capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "[]"


def test_no_bare_folder_name_is_ever_a_module():
    code = "import sys, omnipatch.core.run, omnipatch.core.testing.kit; from omnipatch import load_modality\n"
    code += "load_modality('ecg')\nprint([m for m in ('core', 'modalities', 'recipes') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


class TestPublicNames:
    def test_few(self):
        assert len(omnipatch.__all__) <= 25
        assert omnipatch.__all__ == sorted(set(omnipatch.__all__))

    @pytest.mark.parametrize("name", omnipatch.__all__)
    def test_each_is_there(self, name):
        assert getattr(omnipatch, name) is not None

    def test_unknown_one(self):
        with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
            omnipatch.nothing  # noqa: B018


class TestRecipesImportNoCode:
    def test_import_by_name_is_rare(self):
        calls = re.compile(r"\b(import_module|__import__)\(")
        files = [ROOT / "__init__.py", *sources("core", "modalities")]
        found = {path.relative_to(ROOT).as_posix() for path in files if calls.search(path.read_text(encoding="utf-8"))}
        assert found == IMPORT_BY_NAME

    @pytest.mark.parametrize(
        "text",
        [
            "encoder: {class_path: subprocess.Popen, init_args: {args: 'touch owned'}}",
            "modality: {class_path: os.system}",
            "objective: {terms: {x: {class_path: os.system}}}",
            "trainer: {logger: {class_path: os.system}}",
            "encoder: !!python/object/apply:os.system ['touch owned']",
            "modality: subprocess:Popen",
        ],
    )
    def test_a_class_path_is_refused(self, text, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text(text)
        with pytest.raises(InputError):
            load(str(recipe))
        assert not (tmp_path / "owned").exists()
