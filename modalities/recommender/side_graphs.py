"""What is known beside the interactions: friends of users, facts about items.

A side graph stands on one of the two vocabularies: its first nodes are the users (or items) themselves, under their
codes, the rest are nodes of its own (entities, genres). Directions are dropped for spectral positions; the type of
each edge stays for those who want it. Another behaviour (clicks beside purchases) needs no form of its own: it is
`Interactions`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse

from ...core.errors import CorruptFileError, InputError
from .names import Coder

_DELIMITERS = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True, eq=False)
class SideGraph:
    """name: of the relation ("social", "knowledge"). of: "user" or "item", whose codes the first `rows` nodes are.
    nodes: how many in all. head, tail: [edge] int32. relation: [edge] int16 into `relations`. dropped: edges of the
    file between nodes that lead to no user or item, or that are loops.
    """

    name: str
    of: str
    rows: int
    nodes: int
    head: np.ndarray
    tail: np.ndarray
    relation: np.ndarray
    relations: tuple[str, ...]
    dropped: int = 0

    def __len__(self) -> int:
        return len(self.head)

    @property
    def adjacency(self) -> sparse.csr_matrix:
        """[node, node] float32, symmetric, 1 where an edge of any type runs in any direction."""
        ones = np.ones(len(self), np.float32)
        one_way = sparse.csr_matrix((ones, (self.head, self.tail)), shape=(self.nodes, self.nodes))
        both = one_way + one_way.T
        both.data[:] = 1.0
        both.sort_indices()
        return both

    @property
    def linked(self) -> np.ndarray:
        """[row] bool: users (items) with any edge."""
        return np.diff(self.adjacency.indptr)[: self.rows] > 0


def read_pairs(path: Path | str, known: np.ndarray, of: str = "user", name: str = "social") -> SideGraph:
    """Lines `node node` between known users (or items), such as a social graph.

    known: names in order of codes. Pairs with somebody unknown are left out and counted. Raises CorruptFileError.
    """
    return from_pairs(read_rows(Path(path), 2), known, of, name, source=path)


def from_pairs(
    rows: Sequence[Sequence[str]], known: np.ndarray, of: str = "user", name: str = "social", source: object = None
) -> SideGraph:
    """The same from pairs of names."""
    if not rows:
        raise InputError("there are no pairs", source=source, expected=f"two {of}s")
    code = {node: at for at, node in enumerate(known.tolist())}
    pairs = [(code[a], code[b]) for a, b in rows if a in code and b in code and a != b]
    if not pairs:
        raise InputError(f"no pair is between known {of}s", source=source, got=" ".join(rows[0]), expected=f"two {of}s")
    head, tail = np.array(pairs, np.int32).T
    dropped = len(rows) - len(pairs)
    return SideGraph(name, of, len(known), len(known), head, tail, np.zeros(len(head), np.int16), (name,), dropped)


def read_triples(
    path: Path | str,
    known: np.ndarray,
    of: str = "item",
    name: str = "knowledge",
    relations: Mapping[str, str] | None = None,
) -> SideGraph:
    """Lines `head relation tail` about known items (or users) and entities, such as a knowledge graph.

    relations: what the names of relations in the file mean. Raises CorruptFileError for other lines.
    """
    return from_triples(read_rows(Path(path), 3), known, of, name, relations or {}, source=path)


def from_triples(
    triples: Iterable[Sequence[str]],
    known: np.ndarray,
    of: str = "item",
    name: str = "knowledge",
    relations: Mapping[str, str] | None = None,
    source: object = None,
) -> SideGraph:
    """The same from (head, relation, tail) names: genres of items, for instance."""
    kept, dropped = [], 0
    for head, kind, tail in triples:
        if head == tail:
            dropped += 1
        else:
            kept.append((head, kind, tail))
    if not kept:
        raise InputError("there are no triples", source=source, expected="head relation tail")
    # in order of names, so that the order of lines in a file means nothing
    heads, types, tails = zip(*sorted(kept), strict=True)
    nodes, kinds = Coder(), Coder()
    nodes.codes(known.tolist())
    nodes.codes(sorted({*heads, *tails}))
    kinds.codes(sorted({*types}))
    head, relation, tail = nodes.codes(heads), kinds.codes(types), nodes.codes(tails)
    if min(head.min(), tail.min()) >= len(known):
        raise InputError(f"no triple is about a known {of}", source=source, got=" ".join(kept[0]))
    meaning = tuple(str((relations or {}).get(kind, kind)) for kind in kinds.names.tolist())
    return SideGraph(name, of, len(known), len(nodes), head, tail, relation.astype(np.int16), meaning, dropped)


def read_rows(path: Path, width: int = 0) -> list[list[str]]:
    """Cells of each line that is not blank: between commas in a .csv, tabs in a .tsv, else spaces.

    width: how many there must be, 0 = as many as in the first line. Raises CorruptFileError.
    """
    delimiter = _DELIMITERS.get(path.suffix.lower())
    try:
        lines = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
        cells = (line.split() for line in lines) if delimiter is None else csv.reader(lines, delimiter=delimiter)
        rows = [[cell.strip() for cell in row] for row in cells]
    except FileNotFoundError:
        raise InputError("there is no such file", source=path) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CorruptFileError("cannot be read as text", source=path, got=error) from error
    if not rows:
        raise CorruptFileError("the file is empty", source=path)
    width = width or len(rows[0])
    for number, row in enumerate(rows, 1):
        if len(row) != width or not all(row):
            raise CorruptFileError(
                "the line has another number of cells", source=f"{path}:{number}", got=" ".join(row), expected=width
            )
    return rows
