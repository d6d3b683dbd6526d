"""The verb `recommend`: what people whose histories are in a file are likely to take next."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .console import Voice
from .errors import InputError
from .known import counted, unknown_ids
from .output_file import output_file

if TYPE_CHECKING:
    import numpy as np

    from .downstream.served import HistoryRanking, ServedBlend
    from .known import Unknown
    from .modality import Modality, Window

_HEAD = ("person", "rank", "id", "score")
_CHUNK = 256  # people at a time
_Line = tuple[str, str, str, str]


def recommend(given: argparse.Namespace, overrides: list[str]) -> None:
    """The k best ids that each person's history does not hold: a table on screen, or a CSV file."""
    from .downstream.served import HistoryRanking, ServedBlend
    from .train.model_io import load_model
    from .trained import modality_for_files

    if given.k < 1:
        raise InputError("nothing is asked for", field="--k", got=given.k, expected="1 or more")
    target = None
    if given.out is not None:
        forms, inputs = (".csv",), [given.history]
        target = output_file(given.out, overwrite=given.overwrite, what="rankings", forms=forms, inputs=inputs)
    model = load_model(given.source)
    if not model.encoder.spec.vocabulary:
        raise InputError("this model knows no ids, so there is nothing to rank", source=given.source)
    voice, blend = Voice(given.quiet), None if given.alone else ServedBlend.load(given.source)
    modality = modality_for_files(model, overrides).serving()
    recording = modality.read(Path(given.history))
    windows, unknown = modality.windows(recording), modality.unknown(recording)
    ranking = HistoryRanking(model.encoder, modality, blend)
    voice.step(_how(blend, alone=given.alone))
    lines = []
    for at in range(0, len(windows), _CHUNK):
        lines += _ranked(ranking, modality, windows[at : at + _CHUNK], given.k)
    if unknown.people:
        best = _best(ranking.of_strangers()[None], given.k)[0]
        lines += [line for person in unknown.people for line in _lines(person, best, modality.id_names())]
    if target is None:
        voice.table(_HEAD, lines)
    else:
        from .run_folder import write_csv

        write_csv(target, _HEAD, lines)
        people = len(windows) + len(unknown.people)
        voice.result(f"{target}: {given.k} of {model.encoder.spec.vocabulary[0]} for each of {people} people")
    for note in (*unknown_ids(unknown), *_strangers(unknown, ranking.simplest)):
        voice.result(f"Note: {note}.")


def _how(blend: ServedBlend | None, *, alone: bool) -> str:
    if blend is not None:
        return f"ranked by {blend.ranker} and the model, weight {blend.weight:.2f}, as the run's validation side chose"
    return "ranked by the model alone" + ("" if alone else ": the run has not chosen a ranker to blend it with")


def _strangers(unknown: Unknown, simplest: str) -> list[str]:
    if not unknown.people:
        return []
    return [f"ranked by {simplest}, nothing of their history is known: {counted(unknown.people)}"]


def _ranked(ranking: HistoryRanking, modality: Modality, windows: list[Window], k: int) -> list[_Line]:
    from .batching import collate

    scores = ranking.of_histories(collate([modality.patchify(window) for window in windows]))
    names = modality.id_names()
    return [
        line
        for window, best in zip(windows, _best(scores, k), strict=True)
        for line in _lines(window.subject, best, names)
    ]


def _best(scores: np.ndarray, k: int) -> list[list[tuple[int, float]]]:
    """Of each row (id, score), best first; fewer than k where the row shows nearly all ids."""
    import torch

    found = torch.from_numpy(scores).topk(min(k, scores.shape[1]), dim=1)
    pairs = zip(found.indices.tolist(), found.values.tolist(), strict=True)
    return [[(i, s) for i, s in zip(ids, values, strict=True) if s > -float("inf")] for ids, values in pairs]


def _lines(person: str, best: list[tuple[int, float]], names: Sequence[str]) -> list[_Line]:
    return [(person, str(rank), names[i], f"{score:.4f}") for rank, (i, score) in enumerate(best, 1)]
