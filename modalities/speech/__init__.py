"""Speech and other sound: audio files to log-mel tokens.

Rooms: `modality` (the adapter); `reading` of files and their `quality`; `mel` and `preprocess`; `tokens`; `augment`;
`tasks`; `features`; `voice` and `demo`; `datasets`; `mvq` (multi-codebook quantiser, usable alone) with `codes` and
`code_losses`, the blocks that make an objective of it, and `teachers`, whose states it may quantise.
"""

from . import code_losses, codes  # registers their blocks
from .modality import Speech, SpeechConfig

__all__ = ["Speech", "SpeechConfig", "code_losses", "codes"]
