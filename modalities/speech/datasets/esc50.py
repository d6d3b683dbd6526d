"""ESC-50: 2000 sounds of five seconds in 50 classes, 44.1 kHz.

- A subject is the recording that a clip was cut from: clips of one belong together.
- The five folds of the authors are sites, so theirs is `--split.kind kfold --split.group site --split.folds 5`.
"""

from __future__ import annotations

from pathlib import Path

from ....core.errors import CorruptFileError, wrong_layout
from ....core.modality import Dataset, Source, Task
from .layout import read_rows

SOUND = Task(
    "sound", "record",
    (
        "dog", "rooster", "pig", "cow", "frog", "cat", "hen", "insects", "sheep", "crow",
        "rain", "sea_waves", "crackling_fire", "crickets", "chirping_birds", "water_drops", "wind", "pouring_water",
        "toilet_flush", "thunderstorm",
        "crying_baby", "sneezing", "clapping", "breathing", "coughing", "footsteps", "laughing", "brushing_teeth",
        "snoring", "drinking_sipping",
        "door_wood_knock", "mouse_click", "keyboard_typing", "door_wood_creaks", "can_opening", "washing_machine",
        "vacuum_cleaner", "clock_alarm", "clock_tick", "glass_breaking",
        "helicopter", "chainsaw", "siren", "car_horn", "engine", "train", "church_bells", "airplane", "fireworks",
        "hand_saw",
    ),
)  # fmt: skip
_TABLE = Path("meta/esc50.csv")
_COLUMNS = ("filename", "fold", "category", "src_file")


def list_esc50(root: Path) -> list[Source]:
    """Clips of `audio/` as listed in `meta/esc50.csv`."""
    table = root / _TABLE
    if not table.is_file():
        raise wrong_layout(root, "esc50", f"no {_TABLE}", f"{_TABLE}, audio/1-100032-A-0.wav, ...")
    sources = []
    for row in read_rows(table, _COLUMNS):
        if row["category"] not in SOUND.classes:
            raise CorruptFileError("unknown category", source=table, got=row["category"], expected="one of 50 sounds")
        if Path(row["filename"]).name != row["filename"]:
            raise CorruptFileError("no plain file name", source=table, got=row["filename"])
        path = root / "audio" / row["filename"]
        sources.append(
            Source(path, path.stem, f"clip{row['src_file']}", f"fold{row['fold']}", label=(row["category"],))
        )
    return sources


ESC50 = Dataset(
    "esc50",
    "speech/esc50",
    list_esc50,
    (SOUND.name,),
    licence="CC BY-NC 3.0",
    citation="Piczak 2015, doi:10.1145/2733373.2806390",
    instructions="Clone https://github.com/karolpiczak/ESC-50 (open) and give its folder as --data.root.",
)
