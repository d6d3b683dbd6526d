"""EEG: recordings of any montage to tokens of time and scalp.

Rooms, in the order a recording goes through them
- names and places: `sites`, `channels`, `montage`, `recorders`
- files: `reading` with `mne_files`, `edf_header`, `mat_check`, `selection`, `annotations`; what stands beside them:
  `marking` with `mark_files` and `electrodes`; `datasets`
- samples: `preprocess` with `filters` and `artefacts`; `baseline`
- tokens: `tokens` with `layouts`, `neighbours`, `spectral`, `connectivity` and `grid`; `augment`, `bands`
- labels and their comparison: `tasks`, `features`; `seeing` for reports; `demo`; all of it behind `modality`
"""

from .modality import EEG, EEGConfig

__all__ = ["EEG", "EEGConfig"]
