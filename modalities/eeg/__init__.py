"""EEG: recordings of any montage to tokens of time and scalp.

Rooms: `modality` (the adapter); `reading` of files with `channels`, `montage` and `annotations`; `preprocess` and
`artefacts`; `tokens` with `layouts`, `neighbours`, `spectral` and `grid`; `augment`; `tasks`; `features`; `demo`,
`datasets`.
"""

from .modality import EEG, EEGConfig

__all__ = ["EEG", "EEGConfig"]
