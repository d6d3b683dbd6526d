"""Public recommender data sets, read in their own layout: one file a data set, `market` for what they share."""

from .gowalla import GOWALLA
from .lastfm import LASTFM
from .market import Market, MarketReader
from .ml_1m import ML_1M
from .ml_100k import ML_100K, ML_100K_TIME
from .sports_seq import SPORTS_SEQ
from .yelp_sparse import YELP_SPARSE

MARKETS = {r.name: r for r in (GOWALLA, ML_1M, ML_100K, ML_100K_TIME, LASTFM, YELP_SPARSE, SPORTS_SEQ)}

__all__ = ["MARKETS", "Market", "MarketReader"]
