"""Yelp, the sparse split of SSLRec: random 70/5/25, four interactions a user. 538 users have none to learn from."""

from __future__ import annotations

from pathlib import Path

from ..lists import read_user_lists
from ..splits import given_split
from .market import Market, MarketReader, existing


def read_yelp_sparse(root: Path, seed: int = 0) -> Market:
    """`train.txt`, `valid.txt`, `test.txt`, user lists."""
    train, validation, test = read_user_lists(existing(root, "yelp-sparse", "train.txt", "valid.txt", "test.txt"))
    return Market(given_split(train, test, validation))


YELP_SPARSE = MarketReader(
    "yelp-sparse", "recsys/yelp-sparse", read_yelp_sparse,
    protocol="random 70/5/25; full ranking (SSLRec)",
    licence="research use with attribution, no redistribution (Yelp)",
    citation="Ren et al. 2024, doi:10.1145/3616855.3635814",
    instructions="Take datasets/general_cf/sparse_yelp of github.com/HKUDS/SSLRec as user lists.",
)  # fmt: skip
