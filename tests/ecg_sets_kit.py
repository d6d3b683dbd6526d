"""Small folders in the layouts of PTB-XL, CPSC 2018 and CODE-15 %."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from ecg_kit import STANDARD_LEADS, named, patient, write_dat
from omnipatch.modalities.ecg.findings import statements
from scipy.io import savemat

PTBXL_ROWS = (
    (1, "10.0", "{'NORM': 100.0, 'SR': 0.0}", 1),
    (2, "11.0", "{'IMI': 80.0, 'AFIB': 0.0}", 8),
    (3, "12.0", "{'LVH': 100.0, 'NDT': 50.0}", 9),
    (4, "13.0", "{'SBRAD': 0.0}", 10),
    (5, "10.0", "{'CRBBB': 100.0}", 1),
)  # fmt: skip


def signals(seed: int = 0, duration_s: float = 3.0, sfreq_hz: float = 100.0) -> np.ndarray:
    """[12, sample] millivolt."""
    return patient(seed, STANDARD_LEADS, duration_s, sfreq_hz).signals


def write_csv(path: Path, rows: list[dict]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_ptbxl(root: Path) -> Path:
    rows = []
    folder = root / "records100" / "00000"
    folder.mkdir(parents=True)
    for number, person, codes, fold in PTBXL_ROWS:
        write_dat(folder, f"{number:05d}_lr", named(patient(number, STANDARD_LEADS, 3.0, 100.0)), 100.0)
        rows.append(
            {
                "ecg_id": number, "patient_id": person, "age": "56.0", "sex": 1, "site": "0.0",
                "report": "sinusrhythmus", "scp_codes": codes, "strat_fold": fold,
                "filename_lr": f"records100/00000/{number:05d}_lr",
                "filename_hr": f"records500/00000/{number:05d}_hr",
            }
        )  # fmt: skip
    write_csv(root / "ptbxl_database.csv", rows)
    known = [
        {"": s.code, "diagnostic_class": s.superclass, "diagnostic_subclass": s.subclass} for s in statements().values()
    ]
    write_csv(root / "scp_statements.csv", known)
    return root


def write_cpsc2018(root: Path) -> Path:
    folder = root / "TrainingSet1"
    folder.mkdir(parents=True)
    rows = []
    for name, *labels in (("A0001", 5, "", ""), ("A0002", 1, "", ""), ("A0003", 2, 8, "")):
        x = signals(int(name[1:]), sfreq_hz=500.0).astype(np.float64)
        savemat(folder / f"{name}.mat", {"ECG": {"sex": "Male", "age": 60.0, "data": x}})
        rows.append(
            dict(zip(("Recording", "First_label", "Second_label", "Third_label"), (name, *labels), strict=True))
        )
    write_csv(folder / "REFERENCE.csv", rows)
    return root


def write_code15(root: Path) -> Path:
    import h5py

    root.mkdir(parents=True, exist_ok=True)
    exams = (590673, 590674, 1169160)
    tracings = np.zeros((4, 2048, 12), np.float32)  # the last row belongs to no exam, as in the published files
    for i, exam in enumerate(exams):
        tracings[i, 424:1624] = signals(exam, sfreq_hz=400.0).T
    with h5py.File(root / "exams_part0.hdf5", "w") as file:
        file["tracings"], file["exam_id"] = tracings, np.array([*exams, 0])
    findings = ("1dAVb", "RBBB", "LBBB", "SB", "ST", "AF")
    held = ({"RBBB", "AF"}, set(), {"SB"})
    rows = [
        {"exam_id": exam, "age": 38, "is_male": True, **{name: name in has for name in findings},
         "patient_id": 1000 + i // 2, "trace_file": "exams_part0.hdf5"}
        for i, (exam, has) in enumerate(zip(exams, held, strict=True))
    ]  # fmt: skip
    write_csv(root / "exams.csv", [*rows, rows[0] | {"exam_id": 7, "trace_file": "exams_part17.hdf5"}])
    return root
