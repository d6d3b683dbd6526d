"""The folder `text/` of a model: what its encoder has learned to say about signals.

    weights.safetensors   text model, projections of both sides, temperature
    tokenizer and config  of the text model, as transformers writes them
    pairs.json            how many records with a text it has seen, and how many of them were generated

A model folder without it is an encoder without words.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ..blocks.text_alignment import Alignment
from ..errors import CorruptFileError, InputError
from ..objective import Objective
from .atomic import replacing_folder
from .model_io import Model, load_strictly
from .pretrain import known_texts

if TYPE_CHECKING:
    from ..data.store import WindowStore
    from ..modality import Source

FOLDER = "text"
_WEIGHTS, _PAIRS = "weights.safetensors", "pairs.json"


@dataclass(frozen=True)
class Words:
    """An alignment, the number of records with a text it was learned from, and how many of these were generated."""

    alignment: Alignment
    pairs: int
    generated: int


def save_words(model_folder: Path | str, words: Words) -> None:
    """Write `text/` into a model folder."""
    with replacing_folder(Path(model_folder) / FOLDER) as part:
        words.alignment.text.save(part)
        # copies: weights that a text model shares between its layers are written for each
        state = {
            name: value.detach().cpu().clone().contiguous() for name, value in words.alignment.state_dict().items()
        }
        save_file(state, part / _WEIGHTS, metadata={"format": "pt"})
        (part / _PAIRS).write_text(json.dumps({"records": words.pairs, "generated": words.generated}) + "\n")


def load_words(source: Path | str, model: Model) -> Words:
    """Read `text/` of a model folder, or of the `model/` of a run folder; `model` is what was loaded from there.

    Raises InputError when the model has no words, CorruptFileError when a file is damaged.
    """
    folder = Path(source)
    folder = (folder / "model" if (folder / "model").is_dir() else folder) / FOLDER
    if not folder.is_dir():
        raise InputError(
            "the model was not aligned with texts", source=folder.parent, expected=f"a folder {FOLDER}",
            fix="pretrain it with an objective that has a term report_contrast, e.g. the recipe ecg-report",
        )  # fmt: skip
    alignment = Objective.from_config(model.recipe.objective, model.encoder.spec, model.encoder, folder).alignment()
    if alignment is None:
        raise CorruptFileError("its recipe has no term report_contrast", source=folder)
    try:
        state, pairs = load_file(folder / _WEIGHTS), json.loads((folder / _PAIRS).read_text())
        counts = int(pairs["records"]), int(pairs["generated"])
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise CorruptFileError("cannot be read", source=folder, got=str(error)) from error
    load_strictly(alignment, state, folder / _WEIGHTS)
    return Words(alignment.eval(), *counts)


def count_pairs(store: WindowStore, windows: np.ndarray, sources: Iterable[Source]) -> tuple[int, int]:
    """Records with a text among these windows, and how many of them were generated."""
    generated = {source.record for source in sources if source.path is None}
    texts = known_texts(store, windows)
    read = [record for record, text in zip(store.records, texts, strict=True) if text]
    return len(read), sum(record in generated for record in read)
