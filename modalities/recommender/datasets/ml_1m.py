"""MovieLens-1M made binary, the split of UltraGCN and SimpleX: random of each user, 80 % train and 10 % test.

The authors' validation tenth is not in their files, so one is cut from train.
"""

from __future__ import annotations

from pathlib import Path

from ..lists import read_user_lists
from ..splits import given_split
from .market import Market, MarketReader, existing


def read_ml_1m(root: Path, seed: int = 0) -> Market:
    """`train.txt` and `test.txt`, user lists."""
    train, test = read_user_lists(existing(root, "ml-1m", "train.txt", "test.txt"))
    return Market(given_split(train, test, seed=seed))


ML_1M = MarketReader(
    "ml-1m", "recsys/ml-1m", read_ml_1m,
    protocol="random 80/10 of each user (a tenth is not published); full ranking, recall@20 and ndcg@20 (UltraGCN)",
    licence="research use, no redistribution without permission (GroupLens)",
    citation="Harper and Konstan 2015, doi:10.1145/2827872; split of Mao et al. 2021, doi:10.1145/3459637.3482291",
    instructions="Take train.txt and test.txt of data/ml-1m of github.com/xue-pai/UltraGCN.",
)  # fmt: skip
