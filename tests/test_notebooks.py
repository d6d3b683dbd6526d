"""Every notebook runs from its first cell to its last, in a folder of its own, and is worth opening as it is stored."""

from __future__ import annotations

import ast
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LARGEST = 400_000  # bytes of a stored notebook, its pictures included
FEWEST = 5  # pictures


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def code(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def pictures(notebook: nbformat.NotebookNode) -> int:
    return sum("image/svg+xml" in out.get("data", {}) for cell in code(notebook) for out in cell.outputs)


def test_there_are_notebooks():
    names = {"ecg.ipynb", "eeg.ipynb", "recommender.ipynb", "skeleton.ipynb", "speech.ipynb"}
    assert names <= {path.name for path in NOTEBOOKS}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_and_draws_what_the_stored_one_shows(path, tmp_path, monkeypatch):
    for variable in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR"):  # nothing is left in the user's home
        monkeypatch.setenv(variable, str(tmp_path / variable.lower()))
    stored, notebook = read(path), read(path)
    for cell in code(notebook):
        cell.outputs = []
    (tmp_path / "work").mkdir()
    resources = {"metadata": {"path": str(tmp_path / "work")}}
    NotebookClient(notebook, timeout=600, startup_timeout=300, kernel_name="python3", resources=resources).execute()
    assert pictures(notebook) >= FEWEST
    assert pictures(stored) in (0, pictures(notebook)), "run `make notebooks`"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestAsItIsStored:
    def test_it_is_valid_and_small_and_was_run_in_order_or_not_at_all(self, path):
        notebook = read(path)
        nbformat.validate(notebook)
        assert path.stat().st_size < LARGEST
        counts = [cell.execution_count for cell in code(notebook)]
        assert counts in ([None] * len(counts), list(range(1, 1 + len(counts))))

    def test_no_error_warning_or_place_on_somebodys_machine_is_kept(self, path):
        for cell in code(read(path)):
            for out in cell.outputs:
                assert out.output_type != "error"
                assert out.get("name") != "stderr"
        text = path.read_text(encoding="utf-8")
        assert not [place for place in ("/home/", "/tmp/", "/Users/", "site-packages") if place in text]

    def test_it_explains_more_often_than_it_computes(self, path):
        cells = read(path).cells
        assert cells[0].cell_type == "markdown"
        assert 2 * sum(cell.cell_type == "markdown" for cell in cells) >= len(cells)

    def test_it_uses_public_names_only(self, path):
        for cell in code(read(path)):
            for node in ast.walk(ast.parse(cell.source)):
                name = getattr(node, "attr", "") or getattr(node, "module", "") or ""
                names = [name, *(alias.name for alias in getattr(node, "names", []) if isinstance(alias, ast.alias))]
                private = [n for n in names if any(part.startswith("_") for part in n.split("."))]
                assert not private, f"{private} in {cell.source.splitlines()[0]!r}"
