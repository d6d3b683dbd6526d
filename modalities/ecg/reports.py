"""Words about an ECG: what the demo's own doctor writes, and what real headers say.

- Demo reports are made of what was really put into the signal (rhythm, rate, ectopic beats), in varying words, one to
  three sentences. They teach the pipeline, not medicine.
- LUDB writes its diagnoses as sentences into the header; the challenges give SNOMED codes, whose names are the text.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .findings import findings

_RHYTHM = {
    "(N": ("Sinus rhythm", "Normal sinus rhythm", "Regular sinus rhythm"),
    "(SBR": ("Sinus bradycardia", "Slow sinus rhythm"),
    "(AFIB": ("Atrial fibrillation", "Atrial fibrillation, no P waves", "Irregular rhythm, atrial fibrillation"),
}
_RATE = ("Heart rate {rate} per minute", "Ventricular rate {rate} bpm", "Rate about {rate} beats per minute")
_ECTOPY = {
    "A": ("premature atrial beats", "supraventricular extrasystoles", "premature supraventricular complexes"),
    "V": ("premature ventricular beats", "ventricular extrasystoles", "premature ventricular complexes"),
    "F": ("fusion beats", "fusion complexes"),
}
_SEVERAL = 4  # as many ectopic beats are called frequent
_DIAGNOSES = "<diagnoses>:"


def demo_report(rng: np.random.Generator, rhythm: str, r_s: np.ndarray, marks: Sequence[str]) -> str:
    """A report of a synthetic recording. rhythm: its mark ("(AFIB"); r_s, marks: beats in seconds and their kinds."""
    sentences = [str(rng.choice(_RHYTHM[rhythm]))]
    if len(r_s) > 1 and rng.random() < 0.7:
        rate = 60.0 / float(np.diff(r_s).mean())
        sentences.append(str(rng.choice(_RATE)).format(rate=5 * round(rate / 5)))
    found = []
    for mark, words in _ECTOPY.items():
        count = sum(m == mark for m in marks)
        if count:
            found.append(f"{'frequent' if count >= _SEVERAL else 'occasional'} {rng.choice(words)}")
    if found:
        sentences.append(" and ".join([", ".join(found[:-1]), found[-1]] if len(found) > 1 else found).capitalize())
    elif rng.random() < 0.5:
        sentences.append(str(rng.choice(["No ectopic beats", "No extrasystoles"])))
    return ". ".join(sentences) + "."


def header_report(comments: Sequence[str], codes: Sequence[str] = ()) -> str:
    """Report in the comments of a WFDB header (LUDB), or the names of its SNOMED codes; "" = neither."""
    lowered = [comment.strip().lower() for comment in comments]
    if _DIAGNOSES in lowered:
        lines = [c.strip() for c in comments[lowered.index(_DIAGNOSES) + 1 :]]
        return " ".join(line if line.endswith(".") else f"{line}." for line in lines if line and line[0] != "<")
    names = [findings()[code].name for code in codes if code in findings()]
    return " ".join(f"{name[0].upper()}{name[1:]}." for name in names)
