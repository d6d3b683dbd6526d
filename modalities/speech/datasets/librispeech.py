"""LibriSpeech: read English books, 16 kHz, utterances of up to half a minute.

- Sides are those of the folders (train-*, dev-*, test-*), which share no reader.
- What was read is the text of a recording; the reader's sex, from `SPEAKERS.TXT`, is the label of its only task here.
"""

from __future__ import annotations

from pathlib import Path

from ....core.errors import CorruptFileError
from ....core.modality import Dataset, Source, Task
from .layout import named_files, read_lines

SEX = Task("speaker-sex", "record", ("female", "male"))
_SEXES = {"F": "female", "M": "male"}
_SIDES = {"train": "train", "dev": "validation", "test": "test"}


def list_librispeech(root: Path) -> list[Source]:
    """Utterances `SET/READER/CHAPTER/READER-CHAPTER-NUMBER.flac` below the folder that holds SPEAKERS.TXT."""
    sexes = _sexes(root / "SPEAKERS.TXT") if (root / "SPEAKERS.TXT").is_file() else {}
    texts: dict[Path, dict[str, str]] = {}
    sources = []
    pattern, expected = r"(\d+)-(\d+)-(\d+)\.flac", "SPEAKERS.TXT, train-clean-100/103/1240/103-1240-0000.flac, ..."
    for path, name in named_files(root, "librispeech", "*-*/*/*/*", pattern, expected):
        folder, reader = path.relative_to(root).parts[0], name[1]
        spoken = texts.setdefault(path.parent, _spoken(path.parent / f"{reader}-{name[2]}.trans.txt"))
        sources.append(
            Source(
                path,
                path.stem,
                reader,
                "librispeech",
                split=_SIDES.get(folder.split("-")[0], "train"),
                label=(sexes[reader],) if reader in sexes else (),
                extras={"text": spoken[path.stem]} if path.stem in spoken else {},
            )
        )
    return sources


def _spoken(path: Path) -> dict[str, str]:
    """{utterance: what was read}; nothing where there is no such file."""
    lines = [line.partition(" ") for line in read_lines(path)] if path.is_file() else []
    return {utterance: text for utterance, _, text in lines}


def _sexes(path: Path) -> dict[str, str]:
    """{reader: sex} of lines such as `14   | F | train-clean-360 | 25.03 | Kristin LeMoine`."""
    found = {}
    for line in read_lines(path):
        cells = [cell.strip() for cell in line.split("|")]
        if line.startswith(";"):
            continue
        if len(cells) < 2 or cells[1] not in _SEXES:
            raise CorruptFileError("cannot be read", source=path, got=line, expected="14 | F | train-clean-360 | ...")
        found[cells[0]] = _SEXES[cells[1]]
    return found


LIBRISPEECH = Dataset(
    "librispeech",
    "speech/librispeech",
    list_librispeech,
    (SEX.name,),
    licence="CC BY 4.0",
    citation="Panayotov et al. 2015, doi:10.1109/ICASSP.2015.7178964",
    instructions="Unpack archives of https://www.openslr.org/12 and give the folder LibriSpeech as --data.root.",
)
