"""P, QRS and T waves as segments of windows: the labels of the task `delineation`.

- Where each lead was marked on its own (LUDB), a wave of the record is where more than half of the shown leads that
  have marks say so. Clinicians measure a wave over all leads as well (CSE Working Party 1985,
  doi:10.1093/oxfordjournals.eurheartj.a061942); a vote does not hang on the lead in which a wave happens to be flat.
  With a single lead shown it is that lead's own marks, the protocol of single-lead delineators.
- The first and last beats of a strip are often not marked, so nothing is known before the first and after the last
  marked wave. Between those two an unmarked stretch holds no wave.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...core.modality import Annotation, Recording, Task, WindowSegments

WAVES = ("P", "QRS", "T")
BACKGROUND = "none"
# a marked strip goes on unmarked for a moment; what is further away may hold a wave that nobody marked
MARGIN_S = 0.05

# onsets and offsets count within 150 ms, as in ANSI/AAMI EC57 and all published LUDB results; no wave is so short as
# 30 ms; the labels are as fine as the usual rate of the tokens
TASK = Task(
    "delineation", "dense", (BACKGROUND, *WAVES),
    offsets=(-0.1, 0.0, 0.1), step=1 / 120, background=BACKGROUND, tolerance=0.15, shortest=0.03,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Waves:
    """Waves of a recording in order of onset: onset_s, offset_s [wave], label (wave)."""

    onset_s: np.ndarray
    offset_s: np.ndarray
    label: tuple[str, ...]

    def window(self, start_s: float, own_s: tuple[float, float]) -> WindowSegments:
        """Those of a window that starts at `start_s`, known where the window owns the recording: [from, until)."""
        if not len(self.label):
            return WindowSegments(self.onset_s, self.offset_s, (), np.empty((0, 2)))
        first, last = max(own_s[0], self.onset_s[0] - MARGIN_S), min(own_s[1], self.offset_s.max() + MARGIN_S)
        here = np.flatnonzero((self.offset_s > first) & (self.onset_s < last))
        known = np.array([[first, last]]) - start_s if first < last else np.empty((0, 2))
        return WindowSegments(
            self.onset_s[here] - start_s, self.offset_s[here] - start_s, tuple(self.label[i] for i in here), known
        )


def find_waves(recording: Recording, shown: Sequence[str]) -> Waves:
    """The waves of a recording: voted by the leads `shown` where each lead was marked, else as they are.

    Without any marked lead among the shown ones all marked leads vote.
    """
    by_lead: dict[str, list[Annotation]] = defaultdict(list)
    for a in recording.annotations:
        if a.label in WAVES and a.duration_s > 0:
            by_lead[a.sensor].append(a)
    waves = by_lead.pop("", [])  # marked for all leads at once
    if by_lead:
        voters = [by_lead[lead] for lead in shown if lead in by_lead] or list(by_lead.values())
        waves = waves + vote(voters, recording.sfreq_hz, recording.signals.shape[1])
    waves = sorted(waves, key=lambda a: a.onset_s)
    onset_s = np.array([a.onset_s for a in waves], float)
    return Waves(onset_s, onset_s + np.array([a.duration_s for a in waves], float), tuple(a.label for a in waves))


def vote(leads: Sequence[Sequence[Annotation]], sfreq_hz: float, n_samples: int) -> list[Annotation]:
    """Waves that more than half of the leads mark, sample by sample."""
    found = []
    for wave in WAVES:
        votes = np.zeros(n_samples, np.int64)
        for lead in leads:
            marked = np.zeros(n_samples, bool)
            for a in lead:
                if a.label == wave:
                    marked[round(a.onset_s * sfreq_hz) : round((a.onset_s + a.duration_s) * sfreq_hz)] = True
            votes += marked
        edges = np.flatnonzero(np.diff(np.concatenate([[0], (2 * votes > len(leads)).astype(np.int8), [0]])))
        found += [Annotation(a / sfreq_hz, wave, (b - a) / sfreq_hz) for a, b in edges.reshape(-1, 2)]
    return found


def window_segments(
    recording: Recording, shown: Sequence[str], starts_s: np.ndarray, window_s: float
) -> list[WindowSegments]:
    """Waves of each window that begins at `starts_s`, ascending. Overlapping windows meet half-way."""
    waves = find_waves(recording, shown)
    meet = (starts_s[1:] + starts_s[:-1] + window_s) / 2
    edges = np.concatenate([[0.0], meet, [np.inf]])
    return [waves.window(float(s), (a, b)) for s, a, b in zip(starts_s, edges[:-1], edges[1:], strict=True)]
