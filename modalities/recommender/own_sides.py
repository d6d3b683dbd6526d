"""Side graphs beside the user's own interactions: files in the same folder, found by their names.

`--modality.sides '[social,knowledge]'` reads `social.csv` and `knowledge.txt`, whatever they are called, if they end in
.csv, .tsv or .txt (cells between commas, tabs or spaces). The number of columns says what a file is, a header is not
needed:

- two: friends, `user friend`; or facts of items, `item genre`, where a header calls the first column item;
- three: facts of items, `head relation tail`, where a head or tail may be an item or anything else.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ...core.errors import InputError, nearest
from .interactions import Interactions
from .side_graphs import SideGraph, from_pairs, from_triples, read_rows

_ENDINGS = (".csv", ".tsv", ".txt")
_HEADS = {"user", "user1", "user2", "friend", "item", "head", "relation", "tail", "entity", "fact", "genre", "category"}


def own_sides(path: Path, train: Interactions, names: Iterable[str]) -> dict[str, SideGraph]:
    """{name: graph} of the files beside interactions, on the codes of `train`.

    path: file of interactions or folder of parts. Raises InputError for a name without a file, or with two, or whose
    file tells of no user or item; CorruptFileError for lines that differ in length.
    """
    folder = path if path.is_dir() else path.parent
    return {name: _read(_file_of(folder, name), name, train) for name in names}


def _read(file: Path, name: str, train: Interactions) -> SideGraph:
    first, *others = rows = read_rows(file)
    head = [cell.lower().removesuffix("id").rstrip("_ ") for cell in first]
    if headed := set(head) <= {*_HEADS, name.lower()}:
        rows = others
    if len(first) == 3:
        return from_triples(rows, train.items, name=name, source=file)
    if len(first) != 2:
        raise InputError(
            "a side graph has two columns or three", source=file, got=" ".join(first),
            expected="user friend, or head relation tail",
        )  # fmt: skip
    if headed and head[0] == "item":
        # a genre called 7 is not the item 7
        facts = [(item, name, f"{name}:{fact}") for item, fact in rows]
        return from_triples(facts, train.items, name=name, source=file)
    return from_pairs(rows, train.users, name=name, source=file)


def _file_of(folder: Path, name: str) -> Path:
    files = sorted(file for file in folder.iterdir() if file.is_file() and file.suffix.lower() in _ENDINGS)
    own = [file for file in files if file.stem == name]
    if len(own) == 1:
        return own[0]
    raise InputError(
        "two files are this side graph" if own else "there is no file of this side graph", source=folder,
        field="modality.sides", got=", ".join(file.name for file in own) or name,
        expected=" or ".join(name + ending for ending in _ENDINGS),
        fix="remove one of them" if own else nearest(name, [file.stem for file in files]),
    )  # fmt: skip
