"""Speech and other sound: audio files to log-mel tokens.

Rooms: `modality` (the adapter); `reading` of files and their `quality`; `mel` and `preprocess`; `tokens`; `augment`;
`tasks`; `features`; `voice` and `demo`; `datasets`; `mvq` (multi-codebook quantiser, usable alone).
"""

from .modality import Speech, SpeechConfig

__all__ = ["Speech", "SpeechConfig"]
