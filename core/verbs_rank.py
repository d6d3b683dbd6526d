"""The verb `recommend`: what people whose histories are in a file are likely to take next."""

from __future__ import annotations

import argparse
import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

from .console import Voice
from .errors import InputError

if TYPE_CHECKING:
    from .modality import Modality, Window
    from .train.model_io import Model

_HEAD = ("person", "rank", "id", "score")
_CHUNK = 256  # people at a time


def recommend(given: argparse.Namespace, overrides: list[str]) -> None:
    """The k best ids that each person's history does not hold: a table on screen, or a CSV file."""
    from .train.model_io import load_model
    from .trained import modality_for_files

    if given.k < 1:
        raise InputError("nothing is asked for", field="--k", got=given.k, expected="1 or more")
    target = None if given.out is None else Path(given.out)
    if target is not None and target.exists() and not given.overwrite:
        raise InputError("the file exists", source=target, fix="choose another --out or add --overwrite")
    model = load_model(given.source)
    if not model.encoder.spec.vocabulary:
        raise InputError("this model knows no ids, so there is nothing to rank", source=given.source)
    modality = modality_for_files(model, overrides).serving()
    windows = modality.windows(modality.read(Path(given.history)))
    if not windows:
        raise InputError("nobody has a history of items that the model knows", source=given.history)
    lines = []
    for at in range(0, len(windows), _CHUNK):
        lines += _ranked(model, modality, windows[at : at + _CHUNK], given.k)
    voice = Voice(given.quiet)
    if target is None:
        voice.table(_HEAD, lines)
        return
    from .run_folder import write_text

    content = io.StringIO()
    csv.writer(content, lineterminator="\n").writerows([_HEAD, *lines])
    write_text(target, content.getvalue())
    voice.result(f"{target}: {given.k} of {model.encoder.spec.vocabulary[0]} for each of {len(windows)} people")


def _ranked(model: Model, modality: Modality, windows: list[Window], k: int) -> list[tuple[str, str, str, str]]:
    import torch

    from .batching import collate

    batch, names = collate([modality.patchify(window) for window in windows]), modality.id_names()
    assert batch.ids is not None
    with torch.no_grad():
        scores = model.encoder(batch).pooled.float() @ model.encoder.id_table().float().T
    row, patch = batch.valid.nonzero(as_tuple=True)
    scores[row, batch.ids[row, patch, 0]] = -torch.inf
    best = scores.topk(min(k, scores.shape[1]), dim=1)
    return [
        (window.subject, str(rank), names[int(i)], f"{score:.4f}")
        for window, found, ids in zip(windows, best.values.tolist(), best.indices.tolist(), strict=True)
        for rank, (score, i) in enumerate(zip(found, ids, strict=True), 1)
        if score > -float("inf")
    ]
