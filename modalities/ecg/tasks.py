"""What can be predicted from an ECG here, and how annotation marks become classes."""

from __future__ import annotations

from ...core.modality import Task
from .delineation import TASK as DELINEATION
from .features import RHYTHM_FEATURES
from .record_tasks import label_sets

# ANSI/AAMI EC57 classes from PhysioNet's beat marks, atrial escape beats with the normal ones as in de Chazal et al.
# 2004 (doi:10.1109/TBME.2004.827359); paced and unclassifiable beats ("/", "f", "Q") carry no class here
AAMI_CLASSES = ("N", "S", "V", "F")
_MARKS = {"N": "NLRBejn", "S": "AaJS", "V": "VEr", "F": "F"}
AAMI = {mark: name for name, marks in _MARKS.items() for mark in marks}
UNCLASSED_BEAT = "?"  # a beat that nobody gave a class
BEAT_MARKS = frozenset(AAMI) | frozenset("/fQ") | {UNCLASSED_BEAT}

RHYTHMS = ("sinus", "atrial fibrillation", "bigeminy", "other")
_RHYTHM_MARKS = {"(N": "sinus", "(SBR": "sinus", "(AFIB": "atrial fibrillation", "(B": "bigeminy"}

# seconds from the R mark to where a beat's tokens are read: P wave, PR segment, QRS, ST, T wave, end of T
OFFSETS_S = (-0.20, -0.10, 0.0, 0.10, 0.25, 0.40)

TASKS = {
    "beats": Task("beats", "event", AAMI_CLASSES, offsets=OFFSETS_S, event_features=RHYTHM_FEATURES),
    "rhythm": Task("rhythm", "window", RHYTHMS),
    DELINEATION.name: DELINEATION,
    **{name: found.task for name, found in label_sets().items()},
}


def rhythm_class(mark: str) -> str:
    """Class of a MIT-BIH rhythm mark such as "(AFIB"; "" for spans that are no rhythm (a P wave)."""
    return _RHYTHM_MARKS.get(mark, "other") if mark.startswith("(") else ""
