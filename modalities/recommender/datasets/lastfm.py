"""Last.fm artists and friends (HetRec 2011), the split of LightGCN-PyTorch: random 80/20, with a social graph."""

from __future__ import annotations

from pathlib import Path

from ..lists import read_user_lists
from ..side_graphs import read_pairs
from ..splits import given_split
from .market import Market, MarketReader, existing


def read_lastfm(root: Path, seed: int = 0) -> Market:
    """`train.txt` and `test.txt`, user lists; `social.txt`, one `user friend` a line, both directions."""
    files = existing(root, "lastfm", "train.txt", "test.txt", "social.txt")
    train, test = read_user_lists(files[:2])
    return Market(given_split(train, test, seed=seed), {"social": read_pairs(files[2], train.users)})


LASTFM = MarketReader(
    "lastfm", "recsys/lastfm", read_lastfm,
    protocol="random 80/20; full ranking, recall@20 and ndcg@20 (LightGCN-PyTorch)",
    licence="non-commercial use (HetRec 2011)",
    citation="Cantador et al. 2011, doi:10.1145/2043932.2044016",
    instructions="Take data/lastfm of github.com/gusye1234/LightGCN-PyTorch as user lists, ids from 0.",
)  # fmt: skip
