"""R peaks on MIT-BIH: omnipatch's detector beside wfdb's xqrs and gqrs.

    OMP_NUM_THREADS=1 python benchmarks/ecg_rpeaks.py ROOT

ROOT is the folder with the records (`100.hea`, ...). Comparison: `wfdb.processing.compare_annotations` within 150 ms,
every beat mark of the reference (paced and unclassified ones too), all 30 minutes. Where the reference marks
ventricular flutter or fibrillation ("[" to "]", record 207) it marks no beats; as in the field's bxb these episodes are
left out, for all detectors alike. xqrs and gqrs read one lead: MLII, found by name. omnipatch reads all leads of the
record. Seconds are processor time of the detection alone, one thread, the three in turn on each record.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import wfdb
from omnipatch.modalities.ecg.rpeaks import r_peaks
from omnipatch.modalities.ecg.tasks import BEAT_MARKS
from wfdb import processing

TOLERANCE_S = 0.15
LEAD = "MLII"
# records are `Any`: wfdb declares every field of theirs as possibly None


class Count(NamedTuple):
    beats: int
    missed: int
    invented: int
    seconds: float

    @property
    def sensitivity(self) -> float:
        return 1 - self.missed / self.beats

    @property
    def predictivity(self) -> float:
        right = self.beats - self.missed
        return right / (right + self.invented)


def omnipatch(record: Any) -> np.ndarray:
    return np.round(r_peaks(record.p_signal.T, record.fs) * record.fs).astype(int)


def xqrs(record: Any) -> np.ndarray:
    return np.asarray(processing.xqrs_detect(_lead(record), record.fs, verbose=False), dtype=int)


def gqrs(record: Any) -> np.ndarray:
    return np.asarray(processing.gqrs_detect(_lead(record), record.fs), dtype=int)


DETECTORS: dict[str, Callable[[Any], np.ndarray]] = {"omnipatch": omnipatch, "xqrs": xqrs, "gqrs": gqrs}


def _lead(record: Any) -> np.ndarray:
    return np.ascontiguousarray(record.p_signal[:, record.sig_name.index(LEAD)], dtype=np.float64)


def score(marks: wfdb.Annotation, found: np.ndarray, sfreq_hz: float) -> tuple[int, int, int]:
    """Reference beats, missed ones and invented ones, outside ventricular flutter and fibrillation."""
    symbols = np.asarray(marks.symbol)
    true = marks.sample[np.isin(symbols, sorted(BEAT_MARKS))]
    for start, stop in zip(marks.sample[symbols == "["], marks.sample[symbols == "]"], strict=True):
        true, found = (t[(t < start) | (t > stop)] for t in (true, found))
    result = processing.compare_annotations(true, found, round(TOLERANCE_S * sfreq_hz))
    return len(true), result.fn, result.fp


def main(root: Path) -> None:
    torch.set_num_threads(1)
    counts: dict[str, list[Count]] = {name: [] for name in DETECTORS}
    print("| record | beats | " + " | ".join(f"{name} missed / invented" for name in DETECTORS) + " |")
    print("|---" * (2 + len(DETECTORS)) + "|")
    for header in sorted(root.glob("*.hea")):
        name = str(header.with_suffix(""))
        record: Any = wfdb.rdrecord(name)
        marks = wfdb.rdann(name, "atr")
        for label, detect in DETECTORS.items():
            start = time.process_time()
            found = detect(record)
            seconds = time.process_time() - start
            counts[label].append(Count(*score(marks, found, record.fs), seconds))
        last = [c[-1] for c in counts.values()]
        cells = " | ".join(f"{c.missed} / {c.invented}" for c in last)
        print(f"| {header.stem} | {last[0].beats} | {cells} |", flush=True)
    print("\n| detector | sensitivity % | positive predictivity % | missed | invented | s a record (median) |")
    print("|---|---|---|---|---|---|")
    for label, rows in counts.items():
        total = Count(*(sum(column) for column in zip(*rows, strict=True)))
        print(
            f"| {label} | {100 * total.sensitivity:.3f} | {100 * total.predictivity:.3f} | {total.missed} "
            f"| {total.invented} | {np.median([c.seconds for c in rows]):.3f} |"
        )
    median = {label: np.median([c.seconds for c in rows]) for label, rows in counts.items()}
    print(f"\nomnipatch is {median['xqrs'] / median['omnipatch']:.1f} times as fast as xqrs", end=", ")
    print(f"{median['gqrs'] / median['omnipatch']:.1f} times as fast as gqrs")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="folder of the MIT-BIH records")
    main(parser.parse_args().root)
