"""Hundreds of damaged tables of ALS, Speech Commands, ESC-50 and LibriSpeech: lists of recordings, or one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mutations_kit import HUGE, change_lines, insert_foreign, time_limit, truncate
from omnipatch.core.errors import InputError
from omnipatch.core.modality import Source
from omnipatch.modalities.speech.datasets import DATASETS, TASKS

SEEDS = 500
LIMIT_S = 5

# {data set: ({table: text}, files of sound)}
SETS = {
    "als": (
        {
            "Minsk2020_ALS_dataset.csv": "ID,Sex,Age,J1_a,Diagnosis (ALS)\n"
            + "".join(f"{i},{'MF'[i % 2]},{40 + i},0.{i},{i % 2}\n" for i in range(8, 14))
        },
        [f"{group}/{i:03d}_{vowel}.wav" for group in ("ALS", "HC") for i in range(8, 14) for vowel in "ai"],
    ),
    "speech-commands": (
        {
            "validation_list.txt": "yes/0b_nohash_1.wav\nno/0b_nohash_0.wav\n",
            "testing_list.txt": "no/0c_nohash_0.wav\n",
        },
        ["yes/0a_nohash_0.wav", "yes/0b_nohash_1.wav", "no/0b_nohash_0.wav", "no/0c_nohash_0.wav"],
    ),
    "esc50": (
        {
            "meta/esc50.csv": "filename,fold,target,category,esc10,src_file,take\n"
            + "".join(f"{i}-7{i}-A-0.wav,{i},0,dog,True,7{i},A\n" for i in range(1, 6))
        },
        [f"audio/{i}-7{i}-A-0.wav" for i in range(1, 6)],
    ),
    "librispeech": (
        {
            "SPEAKERS.TXT": ";ID  |SEX| SUBSET\n103 | F | train-clean-100 | 25.03 | A B\n61 | M | test-clean | 8 | C\n",
            "train-clean-100/103/1240/103-1240.trans.txt": "103-1240-0000 CHAPTER ONE\n103-1240-0001 AND MORE\n",
        },
        ["train-clean-100/103/1240/103-1240-0000.flac", "test-clean/61/70/61-70-0000.flac"],
    ),
}


def swap_word(rng, raw: bytes) -> bytes:
    """One cell becomes a number that no table should hold, or another cell."""
    words = raw.replace(b"\n", b" \n ").split(b" ") if b"," not in raw else raw.split(b",")
    new = rng.choice(HUGE).encode() if rng.random() < 0.6 else words[rng.integers(0, len(words))]
    at = int(rng.integers(0, len(words)))
    return (b"," if b"," in raw else b" ").join([*words[:at], new, *words[at + 1 :]])


def flip(rng, raw: bytes) -> bytes:
    """A few bytes changed."""
    data = bytearray(raw)
    for at in rng.integers(0, len(data), rng.integers(1, 5)):
        data[at] = rng.integers(0, 256)
    return bytes(data)


MUTATORS = (truncate, change_lines, insert_foreign, swap_word, flip)


def build(root: Path, name: str) -> list[Path]:
    """The folder of a set; returns its tables."""
    tables, sounds = SETS[name]
    for relative in (*tables, *sounds):
        path = root / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(tables.get(relative, ""))
    return [root / relative for relative in tables]


def listed(name: str, root: Path) -> tuple[list[Source], str]:
    """Recordings of a folder, or what is wrong with it."""
    try:
        with time_limit(LIMIT_S):
            return DATASETS[name].list_sources(root), ""
    except InputError as error:
        return [], str(error)


@pytest.mark.parametrize("name", SETS)
def test_a_mutated_table_is_a_list_or_one_sentence(tmp_path, name):
    tables, outcomes = build(tmp_path, name), {"read": 0, "refused": 0}
    known = {label for task in DATASETS[name].tasks for label in TASKS[task].classes}
    for seed in range(SEEDS):
        rng = np.random.default_rng([seed, len(name)])
        path = tables[rng.integers(0, len(tables))]
        whole = path.read_bytes()
        path.write_bytes(MUTATORS[rng.integers(0, len(MUTATORS))](rng, whole))
        sources, problem = listed(name, tmp_path)
        path.write_bytes(whole)
        outcomes["refused" if problem else "read"] += 1
        assert "\n" not in problem, f"seed {seed}"
        assert len(problem) < 1000, f"seed {seed}"
        # whatever a table says, a file is one of the set's own and a label one of its classes
        assert all(tmp_path in source.path.parents for source in sources), f"seed {seed}"
        assert all(set(source.label) <= known for source in sources), f"seed {seed}"
    assert min(outcomes.values()) >= SEEDS // 50, outcomes
