"""MovieLens-100k with times, genres and a knowledge graph of films.

- "ml-100k" has the sides of its files: each user's first 80 % train, the next tenth chooses, the last tenth tests.
- "ml-100k-time" cuts the same ratings at one date for all, so that no later rating of anybody is learned from. 76
  of its 166 tested users are new then: no history tells of them.
- Every rating is an interaction, as the files' own counts have it; `filters.at_least` keeps the good ones.
- Genres are a side graph of their own; the knowledge graph links 1,598 of 1,682 films to people, genres and others.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ....core.errors import CorruptFileError
from ..interactions import Interactions
from ..side_graphs import SideGraph, from_triples, read_triples
from ..splits import given_split, split_interactions
from ..tables import read_tables
from .market import Market, MarketReader, existing

_FILES = ("train.tsv", "valid.tsv", "test.tsv", "items.tsv", "kg.txt", "kg_relations.txt")


def read_ml_100k(root: Path, seed: int = 0) -> Market:
    """`train.tsv`, `valid.tsv`, `test.tsv`, `items.tsv`, `kg.txt`, `kg_relations.txt`."""
    train, validation, test = read_tables(existing(root, "ml-100k", *_FILES)[:3])
    return Market(given_split(train, test, validation), _sides(root, train))


def read_ml_100k_time(root: Path, seed: int = 0) -> Market:
    """The same ratings, cut at two dates for all."""
    market = read_ml_100k(root, seed)
    everything = market.split.everything_but_test.add(market.split.test)
    cut = split_interactions(everything, "time", test=0.1, validation=0.1)
    return replace(market, split=cut)


def _sides(root: Path, train: Interactions) -> dict[str, SideGraph]:
    paths = existing(root, "ml-100k", *_FILES[3:])
    names = dict(line.split(maxsplit=1) for line in paths[2].read_text(encoding="utf-8").splitlines() if line.strip())
    # entities 0 to 1681 are the films, whether anybody rated them in train or not
    knowledge = read_triples(paths[1], train.items, relations=names)
    return {"knowledge": knowledge, "genre": _genres(paths[0], train.items)}


def _genres(path: Path, items: np.ndarray) -> SideGraph:
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[1:] if line.strip()]
    short = next((row for row in rows if len(row) != 5), None)
    if short is not None:
        raise CorruptFileError("the line has another number of cells", source=path, got=short, expected=5)
    # genres are words, films numbers: no name means both
    triples = [(row[0], "genre", genre) for row in rows for genre in row[4].split()]
    return from_triples(triples, items, name="genre", source=path)


_COMMON = {
    "licence": "research use, no redistribution without permission (GroupLens)",
    "citation": "Harper and Konstan 2015, doi:10.1145/2827872",
    "instructions": "Take the ml-100k example of the recbole package; split each user's ratings by time 80/10/10.",
}
ML_100K = MarketReader(
    "ml-100k", "recsys/ml-100k", read_ml_100k,
    protocol="first 80 %, next 10 %, last 10 % of each user by time; full ranking", **_COMMON,
)  # fmt: skip
ML_100K_TIME = MarketReader(
    "ml-100k-time", "recsys/ml-100k", read_ml_100k_time,
    protocol="one date for all: first 80 %, next 10 %, last 10 % of all ratings; full ranking", **_COMMON,
)  # fmt: skip
