"""Speech and other sound: audio files to log-mel tokens.

Rooms: `modality` (the adapter); `reading` of files and their `quality`; `mel` and `preprocess`; `tokens`; `augment`;
`tasks`; `features`; `voice` and `demo`; `datasets`; `mvq` (multi-codebook quantiser, usable alone) with `codes` and
`code_losses`, the blocks that make an objective of it, and `teachers`, whose states it may quantise; `hear` (a trained
encoder by the interface of the HEAR benchmark).
"""

from . import code_losses, codes  # registers their blocks
from .hear import HearModel, get_scene_embeddings, get_timestamp_embeddings, load_model
from .modality import Speech, SpeechConfig

__all__ = [
    "HearModel",
    "Speech",
    "SpeechConfig",
    "code_losses",
    "codes",
    "get_scene_embeddings",
    "get_timestamp_embeddings",
    "load_model",
]
