"""Side graphs as part of what is known: a spectral block of its own for every relation, and friends as patches.

Design decisions
- Each relation is decomposed alone (`spectral.side_positions`), and its positions stand beside those of the
  interactions, with a flag for whoever it says nothing about: zeros there, flag one. A relation that is not asked for
  takes no room.
- A person is known by the relations alone: a position among the interactions is made of the very items that training
  hides. Friends, whose own histories are not asked about, are known by both, so no table of people is learned.
- Entities of items are no patches: an entity of a hidden item would tell what was hidden. They come in through the
  position of each item.
- Who has many friends shows those of whom most is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ...core.errors import InputError, nearest
from .side_graphs import SideGraph
from .spectral import side_positions

SIDES = "sides"  # key of `Recording.extras`, {name: SideGraph} on the codes of the log


@dataclass(frozen=True, eq=False)
class Coded:
    """Side graphs of one log, by name, and what its codes mean: items [item], users {user: person}."""

    graphs: Mapping[str, SideGraph]
    items: np.ndarray
    users: Mapping[int, int]

    def rows_of(self, graph: SideGraph) -> np.ndarray:
        """[row] common code of what the graph is about, -1 = nobody with a history."""
        if graph.of == "item":
            return self.items
        return np.array([self.users.get(user, -1) for user in range(graph.rows)])


def joined(parts: Sequence[Coded], name: str, n_items: int, n_people: int) -> SideGraph:
    """One relation of all logs on common codes. Entities of different logs stay apart: they have no common names.

    Raises InputError when no log has it.
    """
    having = [part for part in parts if name in part.graphs]
    if not having:
        known = sorted({other for part in parts for other in part.graphs})
        raise InputError(
            "there is no such side graph in these data", source="modality.sides", got=name,
            expected=", ".join(known) or "none", fix=nearest(name, known) if known else "leave modality.sides empty",
        )  # fmt: skip
    first = having[0].graphs[name]
    rows = n_items if first.of == "item" else n_people
    heads, tails, nodes = [], [], rows
    for part in having:
        graph = part.graphs[name]
        code = np.concatenate([part.rows_of(graph), np.arange(nodes, nodes + graph.nodes - graph.rows)])
        nodes += graph.nodes - graph.rows
        head, tail = code[graph.head], code[graph.tail]
        kept = (head >= 0) & (tail >= 0)
        heads.append(head[kept])
        tails.append(tail[kept])
    head, tail = (np.concatenate(ends).astype(np.int32) for ends in (heads, tails))
    return SideGraph(name, first.of, rows, nodes, head, tail, np.zeros(len(head), np.int16), (name,))


def side_numbers(graphs: Iterable[SideGraph], rank: int) -> list[np.ndarray]:
    """Of each graph [row, rank + 1] float32: positions with a mean square of one over those it links, and the flag of
    the others."""
    return [
        np.concatenate([side_positions(graph, rank), ~graph.linked[:, None]], axis=1).astype(np.float32)
        for graph in graphs
    ]


def friends_of(graphs: Iterable[SideGraph], degree: np.ndarray, most: int) -> sparse.csr_matrix:
    """[person, person] of ones, who is shown as a friend of whom: at most so many of each, those who took most first.

    degree: [person] how many items each took; who took nothing tells nothing.
    """
    people = len(degree)
    total = sparse.csr_matrix((people, people), dtype=np.float32)
    for graph in graphs:
        total = total + graph.adjacency[:people, :people]
    row, column = total.nonzero()
    telling = degree[column] > 0
    row, column = row[telling], column[telling]
    order = np.lexsort((column, -degree[column], row))
    row, column = row[order], column[order]
    chosen = np.arange(len(row)) - np.searchsorted(row, row) < most
    row, column = row[chosen], column[chosen]
    return sparse.csr_matrix((np.ones(len(row), np.float32), (row, column)), shape=(people, people))
