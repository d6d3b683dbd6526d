"""ECG: recordings of any leads to patches of time (and lead), beats and rhythm.

Rooms, in the order a recording goes through them
- files: `reading` with `headers`, `matfile`, `exams`, `marks`, `leads` and `reports`; `datasets`
- samples: `filters`, `quality` (leads not to be trusted)
- beats: `rpeaks` from `qrs_evidence`, `beats`, `beat_track`, `intervals`
- tokens: `tokens`, `scales` (beats and rhythm); `augment`, `lead_presence`
- labels and their comparison: `tasks`, `record_tasks`, `findings`, `delineation`; `features`, `record_features`;
  `af_burden`, usable alone; `demo`; all of it behind `modality`
"""

from .modality import ECG, ECGConfig

__all__ = ["ECG", "ECGConfig"]
