"""Hundreds of damaged folders of PTB-XL, CPSC 2018, CODE-15 % and LUDB: recordings, or one sentence each."""

from __future__ import annotations

import numpy as np
import pytest
from ecg_kit import adapter, named, patient, write_dat
from ecg_sets_kit import write_code15, write_cpsc2018, write_ptbxl
from mutations_kit import time_limit
from omnipatch.core.errors import InputError
from omnipatch.modalities.ecg.datasets import DATASETS
from test_ecg_mutations import LIMIT_S, MUTATORS

SEEDS = 500


def _write_ludb(root):
    root.mkdir(parents=True, exist_ok=True)
    for name in ("1", "2"):
        write_dat(root, name, named(patient(0, duration_s=3.0)))
    (root / "ludb.csv").write_text("ID,Sex,Age,Rhythms,Other\n1,M,64,Atrial fibrillation,\n2,F,50,Sinus rhythm,a | b\n")
    return root


WRITERS = {"ptbxl": write_ptbxl, "cpsc2018": write_cpsc2018, "code15": write_code15, "ludb": _write_ludb}


@pytest.mark.parametrize("name", WRITERS)
def test_a_mutated_folder_is_recordings_or_one_sentence(tmp_path, name):
    if name == "code15":
        pytest.importorskip("h5py")
    root = WRITERS[name](tmp_path)
    files = sorted(p for p in root.rglob("*") if p.is_file())
    tables = [p for p in files if p.suffix == ".csv"]
    ecg, outcomes = adapter(), {"read": 0, "refused": 0}
    for seed in range(SEEDS):
        rng = np.random.default_rng([seed, len(name)])
        pool = tables if rng.random() < 0.5 else files
        path = pool[rng.integers(0, len(pool))]
        whole = path.read_bytes()
        path.write_bytes(MUTATORS[rng.integers(0, len(MUTATORS))](rng, whole))
        with time_limit(LIMIT_S):
            problem = _use(ecg, name, root, path)
        path.write_bytes(whole)
        outcomes["refused" if problem else "read"] += 1
        assert problem is None or len(problem) < 1000
    assert min(outcomes.values()) >= SEEDS // 20, outcomes


def _use(ecg, name, root, changed) -> str | None:
    """List a folder and open the recordings that the change may concern; what was wrong."""
    try:
        sources = DATASETS[name].list_sources(root)
    except InputError as error:
        return str(error)
    problem = None
    for source in sources[:1] if changed.suffix == ".csv" else sources:
        if changed.suffix != ".csv" and source.path.stem != changed.stem:
            continue
        try:
            recording = ecg.load(source)
            assert not np.isinf(recording.signals).any()
            ecg.quality(recording)
        except InputError as error:
            problem = str(error)
    return problem
