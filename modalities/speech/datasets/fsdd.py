"""Free Spoken Digit Dataset: English digits by six men, 50 takes each, 8 kHz.

- "fsdd" has no sides: split by speaker, six people in six folds, leave one out.
- "fsdd-official" has those of its authors, takes 0 to 4 for testing. All speakers are on both sides, so it must be
  split by record on purpose: `--split.kind official --split.group record`.
"""

from __future__ import annotations

from pathlib import Path

from ....core.modality import Dataset, Source, Task
from .layout import named_files

DIGIT = Task("digit", "record", ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"))
_TEST_TAKES = range(5)
_LICENCE = "CC BY-SA 4.0"
_CITATION = "Jackson et al., Free Spoken Digit Dataset, doi:10.5281/zenodo.1342401"
_INSTRUCTIONS = (
    "Clone https://github.com/Jakobovski/free-spoken-digit-dataset (open) and give its folder as --data.root."
)


def list_fsdd(root: Path) -> list[Source]:
    """Recordings `recordings/DIGIT_SPEAKER_TAKE.wav`."""
    return _sources(root, official=False)


def list_fsdd_official(root: Path) -> list[Source]:
    """The same with the authors' sides."""
    return _sources(root, official=True)


def _sources(root: Path, official: bool) -> list[Source]:
    sources = []
    pattern, expected = r"(\d)_([^_]+)_(\d+)\.(?:wav|flac)", "recordings/0_george_0.wav, ..."
    for path, name in named_files(root, "fsdd", "recordings/*", pattern, expected):
        side = "" if not official else "test" if int(name[3]) in _TEST_TAKES else "train"
        sources.append(Source(path, path.stem, name[2], "fsdd", split=side, label=(DIGIT.classes[int(name[1])],)))
    return sources


FSDD = Dataset(
    "fsdd", "speech/fsdd", list_fsdd, (DIGIT.name,), _LICENCE, _CITATION, instructions=_INSTRUCTIONS, folds=6
)
FSDD_OFFICIAL = Dataset(
    "fsdd-official", "speech/fsdd", list_fsdd_official, (DIGIT.name,), _LICENCE, _CITATION, instructions=_INSTRUCTIONS
)
