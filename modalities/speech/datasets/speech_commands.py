"""Speech Commands, version 0.02: 35 words of one second by 2618 people, 16 kHz.

- A person is the hash in the name of a file; the authors' sides keep each person on one of them.
- Recordings of `_background_noise_` are no words and are left out.
"""

from __future__ import annotations

from pathlib import Path

from ....core.errors import wrong_layout
from ....core.modality import Dataset, Source, Task
from .layout import named_files, read_lines

COMMAND = Task(
    "command", "record",
    (
        "backward", "bed", "bird", "cat", "dog", "down", "eight", "five", "follow", "forward", "four", "go", "happy",
        "house", "learn", "left", "marvin", "nine", "no", "off", "on", "one", "right", "seven", "sheila", "six",
        "stop", "three", "tree", "two", "up", "visual", "wow", "yes", "zero",
    ),
)  # fmt: skip
_SIDES = {"validation_list.txt": "validation", "testing_list.txt": "test"}
_EXPECTED = "yes/0a7c2a8d_nohash_0.wav, ..., validation_list.txt, testing_list.txt"


def list_speech_commands(root: Path) -> list[Source]:
    """Recordings `WORD/PERSON_nohash_N.wav` with the authors' sides."""
    sides = {}
    for name, side in _SIDES.items():
        if not (root / name).is_file():
            raise wrong_layout(root, "speech-commands", f"no {name}", _EXPECTED)
        sides |= dict.fromkeys(read_lines(root / name), side)
    sources = []
    for path, name in named_files(root, "speech-commands", "*/*", r"([0-9a-f]+)_nohash_(\d+)\.wav", _EXPECTED):
        word = path.parent.name
        if word in COMMAND.classes:
            side = sides.get(f"{word}/{path.name}", "train")
            record = f"{word}_{path.stem}"
            sources.append(Source(path, record, name[1], "speech-commands", split=side, label=(word,)))
    return sources


SPEECH_COMMANDS = Dataset(
    "speech-commands",
    "speech/speech-commands",
    list_speech_commands,
    (COMMAND.name,),
    licence="CC BY 4.0",
    citation="Warden 2018, https://arxiv.org/abs/1804.03209",
    instructions="Unpack http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz and give its folder as "
    "--data.root.",
)
