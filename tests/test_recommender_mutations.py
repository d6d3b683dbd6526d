"""Damaged interaction files of every form: each gives a sound graph or one sentence, soon and in little memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mutations_kit import HUGE, change_lines, insert_foreign, memory_limit, time_limit, truncate
from omnipatch.core.errors import InputError
from omnipatch.modalities.recommender.reading import read_interactions
from omnipatch.modalities.recommender.side_graphs import read_pairs, read_triples

pandas = pytest.importorskip("pandas")

LIMIT_S = 20
EXTRA_BYTES = 1 << 30  # beyond what a test process holds already
FORMS = ("table.csv", "table.tsv", "dates.csv", "bare.dat", "lists.txt", "pairs.side", "triples.side", "table.parquet")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """{name: bytes} of small valid files."""
    rng = np.random.default_rng(0)
    user, item = rng.integers(0, 20, 150), rng.integers(0, 30, 150)
    frame = pandas.DataFrame({"user_id": user, "item": item, "rating": rng.integers(1, 6, 150), "time": 10**9 + user})
    folder = tmp_path_factory.mktemp("valid")
    frame.to_csv(folder / "table.csv", index=False)
    frame.to_csv(folder / "table.tsv", index=False, sep="\t")
    frame.to_csv(folder / "bare.dat", index=False, header=False)
    frame.assign(time=pandas.to_datetime(frame["time"], unit="s")).to_csv(folder / "dates.csv", index=False)
    (folder / "lists.txt").write_text("".join(f"{u} {' '.join(map(str, item[user == u]))}\n" for u in range(20)))
    (folder / "pairs.side").write_text("".join(f"{a} {b}\n" for a, b in zip(user, item, strict=True)))
    (folder / "triples.side").write_text("".join(f"{a} 1 {b}\n" for a, b in zip(user, item, strict=True)))
    names = list(FORMS)
    try:
        frame.to_parquet(folder / "table.parquet")
    except ImportError:
        names.remove("table.parquet")
    return {name: (folder / name).read_bytes() for name in names}


def change_cell(rng, raw):
    """A cell becomes an extreme number, nothing, or words."""
    lines = raw.split(b"\n")
    at = int(rng.integers(0, len(lines)))
    mark = next((m for m in (b",", b"\t", b" ") if m in lines[at]), b",")
    cells = lines[at].split(mark)
    values = [*HUGE, "word", "-7", "1.5", '"', "\u00b5", "2020-13-45"]
    cells[int(rng.integers(0, len(cells)))] = values[rng.integers(0, len(values))].encode()
    return b"\n".join([*lines[:at], mark.join(cells), *lines[at + 1 :]])


def flip(rng, raw):
    """A few bytes changed."""
    data = bytearray(raw)
    for at in rng.integers(0, len(data), rng.integers(1, 9)):
        data[at] = rng.integers(0, 256)
    return bytes(data)


def swap_columns(rng, raw):
    """Cells of a line in another order, or one too few or too many."""
    lines = raw.split(b"\n")
    at = int(rng.integers(0, len(lines)))
    cells = lines[at].split(b",")
    rng.shuffle(cells)
    lines[at] = b",".join([cells, cells[:-1], [*cells, b"7"]][rng.integers(0, 3)])
    return b"\n".join(lines)


MUTATORS = (truncate, change_lines, insert_foreign, change_cell, flip, swap_columns)


def use(path: Path) -> str | None:
    """Read a file and look at what came of it; what was wrong with it."""
    known = np.arange(30).astype(str)
    try:
        if path.name == "pairs.side":
            side = read_pairs(path, known)
        elif path.name == "triples.side":
            side = read_triples(path, known)
        else:
            side = None
            found = read_interactions(path)
    except InputError as error:
        return str(error)
    if side is not None:
        assert side.adjacency.shape == (side.nodes, side.nodes)
        assert (side.adjacency != side.adjacency.T).nnz == 0
        return None
    assert len(found) > 0
    assert found.matrix.shape == (len(set(found.users)), len(set(found.items)))
    assert (np.diff(found.keys) > 0).all()
    for values in (found.rating, found.time):
        assert values is None or np.isfinite(values).all()
    return None


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("count", [12, pytest.param(300, marks=pytest.mark.slow)])
def test_damaged(files, name, count, tmp_path):
    if name not in files:
        pytest.skip("needs pyarrow")
    path, refused = tmp_path / name, 0
    path.write_bytes(files[name])
    assert use(path) is None
    for mutate in MUTATORS:
        for seed in range(count):
            path.write_bytes(mutate(np.random.default_rng([seed, len(name)]), files[name]))
            with time_limit(LIMIT_S), memory_limit(EXTRA_BYTES):
                said = use(path)
            assert "\n" not in (said or "")
            refused += said is not None
    assert refused > 0
