"""Gowalla check-ins (SNAP), the split of NGCF and LightGCN: random 80/20 of each user, places and people of 10-core."""

from __future__ import annotations

from pathlib import Path

from ..lists import read_user_lists
from ..splits import given_split
from .market import Market, MarketReader, existing


def read_gowalla(root: Path, seed: int = 0) -> Market:
    """`train.txt` and `test.txt`, user lists."""
    train, test = read_user_lists(existing(root, "gowalla", "train.txt", "test.txt"))
    return Market(given_split(train, test, seed=seed))


GOWALLA = MarketReader(
    "gowalla", "recsys/gowalla", read_gowalla,
    protocol="random 80/20 of each user; full ranking, recall@20 and ndcg@20 (LightGCN)",
    licence="research use with attribution",
    citation="Cho et al. 2011, doi:10.1145/2020408.2020579; split of He et al. 2020, doi:10.1145/3397271.3401063",
    instructions="Take train.txt and test.txt of the gowalla folder of github.com/gusye1234/LightGCN-PyTorch.",
)  # fmt: skip
