"""ECG: WFDB recordings to patches of time (and lead), beats as events.

Rooms: `modality` (the adapter); `reading` of files with `headers`, `matfile`, `marks` and `leads`; `filters`, `tokens`,
`augment`; `tasks`; `features` and `beats` (what is special to it); `demo`, `datasets`.
"""

from .modality import ECG, ECGConfig

__all__ = ["ECG", "ECGConfig"]
