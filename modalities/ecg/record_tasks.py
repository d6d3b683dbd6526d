"""Tasks about a whole record: its rhythm, its conduction, its diagnoses.

- A record's label holds terms as its data set writes them (SNOMED codes, SCP-ECG statements, words). A label set says
  which terms mean which class, so the same task reads several data sets.
- Classes are fixed before any data are seen. Each set lists those that its data set has enough records of; the 26
  classes of `diagnosis` are those that the PhysioNet/CinC Challenge 2021 scores, with the four pairs it counts as one.
- One rhythm a record: where several are named, the first in the order of the classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from ...core.modality import Task
from .findings import findings, normal_term, statements, terms_of

NO_CLASS = ""  # label of a record that was looked at and has no class of the task

_SINUS = {
    "sinus tachycardia": ("427084000",),
    "sinus bradycardia": ("426177001",),
    "sinus arrhythmia": ("427393009",),
    "sinus rhythm": ("426783006",),
}
_FIBRILLATION = ("164889003", "426749004", "282825002", "314208002")
_FLUTTER = ("164890007", "195080001")
_RECORD_RHYTHM = {"atrial fibrillation": _FIBRILLATION, "atrial flutter": _FLUTTER, **_SINUS}
# 4 of 200 patients have sinus tachycardia, 3 flutter
_LUDB_RHYTHM = {
    "atrial fibrillation or flutter": (*_FIBRILLATION, *_FLUTTER),
    **{name: codes for name, codes in _SINUS.items() if name != "sinus tachycardia"},
}
_COMPLETE_BLOCK = ("713427006", "733534002", "59118001", "164909002")
_AV_BLOCK = ("270492004", "195042002", "27885002")
_LUDB_CONDUCTION = {
    "incomplete right bundle branch block": ("713426002",),
    "left anterior fascicular block": ("445118002",),
    "complete bundle branch block": _COMPLETE_BLOCK,
    "atrioventricular block": _AV_BLOCK,
    "any conduction abnormality": (
        "713426002", "445118002", *_COMPLETE_BLOCK, *_AV_BLOCK, "251120003", "698252002", "65778007",
    ),
}  # fmt: skip
_LUDB_DIAGNOSIS = {
    "atrial fibrillation or flutter": (*_FIBRILLATION, *_FLUTTER),
    "sinus bradycardia": ("426177001",),
    "conduction abnormality": _LUDB_CONDUCTION["any conduction abnormality"],
    "left axis deviation": ("39732003",),
    "left atrial hypertrophy": ("446813000",),
    "left ventricular hypertrophy": ("164873001",),
    "ischaemia or scar": ("164861001", "425419005", "425623009", "426434006", "164867002", "57054005"),
    "extrasystoles": ("284470004", "427172004", "251182009"),
    "pacemaker": ("10370003", "251266004", "251268003"),
    "repolarization abnormality": ("428750005",),
}
# the SNOMED codes are those the PhysioNet challenges gave these classes
_CPSC2018 = {
    "Normal": ("426783006",), "AF": ("164889003",), "I-AVB": ("270492004",), "LBBB": ("164909002",),
    "RBBB": ("59118001",), "PAC": ("284470004",), "PVC": ("427172004", "164884008"), "STD": ("429622005",),
    "STE": ("164931005",),
}  # fmt: skip
_CODE15 = ("1dAVb", "RBBB", "LBBB", "SB", "AF", "ST")


@dataclass(frozen=True)
class LabelSet:
    """A record task and what its classes are called.

    members: term in its normal form -> classes it means. closed: a labelled record without any of the classes is a
    negative of all; otherwise it is left out, as for the label sets of PTB-XL.
    """

    task: Task
    members: Mapping[str, tuple[str, ...]]
    closed: bool = True

    def classes_of(self, terms: Iterable[str]) -> tuple[str, ...]:
        """Classes that a record's terms mean, in the order of the task; () = not labelled for it."""
        normal = [normal_term(term) for term in terms]
        held = {name for term in normal for name in self.members.get(term, ())}
        if not held:
            return (NO_CLASS,) if normal and self.closed and self.task.multilabel else ()
        return tuple(name for name in self.task.classes if name in held)


@cache
def label_sets() -> dict[str, LabelSet]:
    """All record tasks by name."""
    scored = {f.name: [f.code] for f in findings().values() if f.scored and f.counts_as == f.code}
    for finding in findings().values():
        if finding.counts_as != finding.code:
            scored[findings()[finding.counts_as].name].append(finding.code)
    sets = [
        _of_codes("record-rhythm", _RECORD_RHYTHM, several=False),
        _of_codes("diagnosis", scored),
        _of_codes("ludb-rhythm", _LUDB_RHYTHM, several=False),
        _of_codes("ludb-conduction", _LUDB_CONDUCTION),
        _of_codes("ludb-diagnosis", _LUDB_DIAGNOSIS),
        *_ptbxl(),
        _of_codes("cpsc2018", _CPSC2018),
        _of_words("code15", {name: (name,) for name in _CODE15}),
    ]
    return {found.task.name: found for found in sets}


def record_labels(task: str, terms: Iterable[str]) -> tuple[str, ...]:
    """Label of a record's windows under a record task; () = not labelled for it."""
    return label_sets()[task].classes_of(terms)


def _of_codes(name: str, classes: Mapping[str, Iterable[str]], several: bool = True) -> LabelSet:
    members: dict[str, tuple[str, ...]] = {}
    for class_name, codes in classes.items():
        for term in sorted(terms_of(codes) | {normal_term(class_name)}):
            members[term] = (*members.get(term, ()), class_name)
    return LabelSet(Task(name, "record", tuple(classes), multilabel=several), members)


def _of_words(name: str, classes: Mapping[str, Iterable[str]], closed: bool = True) -> LabelSet:
    members: dict[str, tuple[str, ...]] = {}
    for class_name, words in classes.items():
        for word in words:
            members[normal_term(word)] = (*members.get(normal_term(word), ()), class_name)
    return LabelSet(Task(name, "record", tuple(classes), multilabel=True), members, closed)


def _ptbxl() -> list[LabelSet]:
    """The six label sets of Strodthoff et al. 2021 (doi:10.1109/JBHI.2020.3022989); likelihoods are not looked at."""
    known = statements().values()
    sets: dict[str, dict[str, list[str]]] = {
        "superdiagnostic": {}, "subdiagnostic": {}, "diagnostic": {}, "form": {}, "rhythm": {}, "all": {},
    }  # fmt: skip
    for statement in known:
        sets["all"][statement.code] = [statement.code]
        for kind in statement.kinds:
            sets[kind][statement.code] = [statement.code]
        if statement.superclass:
            sets["superdiagnostic"].setdefault(statement.superclass, []).append(statement.code)
            sets["subdiagnostic"].setdefault(statement.subclass, []).append(statement.code)
    return [_of_words(f"ptbxl-{name}", classes, closed=False) for name, classes in sets.items()]
