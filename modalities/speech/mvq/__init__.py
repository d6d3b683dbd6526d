"""Multi-codebook vector quantisation, usable alone: `train_quantizer`, `Quantizer`, `usage`.

Rooms: `quantizer` (encode, decode, save, load), `search` (how it encodes), `training`, `seeding`, `usage`.
"""

from .quantizer import Quantizer
from .training import train_quantizer
from .usage import Usage, usage

__all__ = ["Quantizer", "Usage", "train_quantizer", "usage"]
