"""Amazon sports purchases in order (SSLRec): the last item of each sequence tests, the last but one chooses."""

from __future__ import annotations

from pathlib import Path

from ..lists import read_user_lists
from ..splits import split_interactions
from .market import Market, MarketReader, existing


def read_sports_seq(root: Path, seed: int = 0) -> Market:
    """`sequences.txt`: one `session item item ...` a line, from first to last."""
    (whole,) = read_user_lists(existing(root, "sports-seq", "sequences.txt"), ordered=True)
    return Market(split_interactions(whole, "leave-one-out"))


SPORTS_SEQ = MarketReader(
    "sports-seq", "recsys/sports-seq", read_sports_seq,
    protocol="leave one out (last tests, last but one chooses); full ranking",
    licence="research use (Amazon reviews)",
    citation="Ni et al. 2019, doi:10.18653/v1/D19-1018",
    instructions="Take datasets/sequential/sports_seq of github.com/HKUDS/SSLRec as sequences.",
)  # fmt: skip
