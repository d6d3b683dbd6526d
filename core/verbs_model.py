"""Verbs that take a trained run: embed, report, export."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .console import Voice
from .errors import InputError, OmnipatchError
from .files import each_file, read_file
from .known import counted, unknown_ids
from .output_file import output_file
from .verbs_ids import FORMS, embed_ids

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from .blocks.targets import TargetProvider
    from .sequence import PatchSequence
    from .train.model_io import Model

_CHUNK = 64  # windows at a time


def embed(given: argparse.Namespace, overrides: list[str]) -> int:
    """One vector a window of each file, its codes, or one vector an id; what cannot be read is left out (code 1)."""
    import numpy as np

    from .train.atomic import replacing
    from .train.model_io import load_model
    from .train.targets_io import load_code_target
    from .trained import modality_for_files

    voice, target = Voice(given.quiet), _embed_target(given, overrides)
    if given.what == "ids":
        embed_ids(given.source, target, voice)
        return 0
    model = load_model(given.source)
    target_of_codes = load_code_target(given.source, model) if given.codes else None
    model = replace(model, modality=modality_for_files(model, overrides).serving())
    parts, problems = each_file(given.files, lambda path: _embed_file(model, path, target_of_codes), voice)
    arrays: dict[str, Any] = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    with replacing(target) as file:
        np.savez_compressed(file, **arrays)
    count, size = arrays["codes" if given.codes else "embedding"].shape
    voice.result(f"{target}: {count} " + (f"tokens of {size} codes" if given.codes else f"vectors of {size} numbers"))
    return 1 if problems else 0


def _embed_target(given: argparse.Namespace, overrides: list[str]) -> Path:
    """Where vectors go; refused before anything is computed, as are arguments that do not go together."""
    of_ids = given.what == "ids"
    if of_ids and given.codes:
        raise InputError("ids have no codes", field="--codes", fix="leave out --what or --codes")
    if bool(given.files) == of_ids:
        raise InputError(
            "a model's ids are in no file" if of_ids else "no files are given", field="FILES", got=len(given.files),
            fix="leave the files out" if of_ids else "name files, or add --what ids for the vectors of all ids",
        )  # fmt: skip
    if of_ids:
        if overrides:
            raise InputError(f"unknown option {overrides[0]}", fix="the ids of a model are read from no file")
        return output_file(given.out, overwrite=given.overwrite, what="vectors of ids", forms=FORMS)
    if Path(given.out).suffix != ".npz":
        raise InputError("the vectors are written as .npz", field="--out", got=given.out)
    return output_file(given.out, overwrite=given.overwrite, inputs=given.files)


def _embed_file(model: Model, path: Path, coder: TargetProvider | None) -> tuple[dict[str, Any], str, list[str]]:
    """Arrays of one file, how many they are of, and notes. coder: whose codes are wanted instead of vectors."""
    import numpy as np
    import torch

    from .batching import collate

    file = read_file(model.modality, path)
    rows, windows, left_out = file.rows, file.windows, file.left_out
    parts = [collate(rows[start : start + _CHUNK]) for start in range(0, len(rows), _CHUNK)]
    if coder is not None:
        starts = np.array([window.start_s for window in windows])
        split = np.split(starts, range(_CHUNK, len(starts), _CHUNK))
        arrays = _coded(coder, parts, split, path, windows[0].record)
        return arrays, f"{len(arrays['path'])} tokens", left_out
    with torch.no_grad():
        vectors = [model.encoder(batch).pooled.float().numpy() for batch in parts]
    left_out += unknown_ids(file.unknown)
    if file.unknown.people:
        left_out.append(f"no vector, nothing of their history is known: {counted(file.unknown.people)}")
    arrays = {
        "embedding": np.concatenate(vectors),
        "path": np.array([str(path)] * len(windows)),
        "record": np.array([window.record for window in windows]),
        "start_s": np.array([window.start_s for window in windows], np.float64),
    }
    return arrays, f"{len(windows)} windows", left_out


def _coded(
    coder: TargetProvider, parts: Sequence[PatchSequence], starts: Sequence[np.ndarray], path: Path, record: str
) -> dict[str, Any]:
    """Codes of tokens in the order of a recording, each once if windows overlap. starts: of rows, in seconds."""
    import numpy as np

    codes, at = [], []
    for batch, start_s in zip(parts, starts, strict=True):
        found = coder.codes(batch)
        if found is None:
            raise InputError("the model predicted no codes", source=path)
        known = (batch.valid & (found >= 0).all(dim=-1)).numpy()
        codes.append(found.numpy()[known])
        at.append((start_s[:, None] + batch.coords[..., 0].numpy())[known])
    time_s = np.concatenate(at)
    _, first = np.unique(np.round(time_s, 3), return_index=True)
    return {
        "codes": np.concatenate(codes)[first].astype(np.int32),
        "time_s": time_s[first],
        "path": np.array([str(path)] * len(first)),
        "record": np.array([record] * len(first)),
    }


def report(given: argparse.Namespace, overrides: list[str]) -> None:
    """Draw the report of a finished run again."""
    from .report import write_report

    folder = Path(given.run)
    if not any((folder / name).is_file() for name in ("results.json", "report.npz")):
        raise InputError("there is no finished run here", source=folder, expected="a folder with report.npz")
    Voice(given.quiet).result(str(write_report(folder)))


def export(given: argparse.Namespace, overrides: list[str]) -> None:
    """Copy the model folder after checking that it loads."""
    import shutil

    from .train.atomic import replacing_folder
    from .train.model_io import load_model

    source = Path(given.run) / "model"
    target = Path(given.out) if given.out else Path(given.run) / "export"
    load_model(source)
    if target.exists() and not given.overwrite:
        raise InputError("the folder exists", source=target, fix="choose another --out or add --overwrite")
    if target.exists() and not (target / "weights.safetensors").is_file():
        raise InputError("--overwrite replaces exported models only", source=target, fix="choose another --out")
    try:
        with replacing_folder(target) as part:
            shutil.copytree(source, part, dirs_exist_ok=True)
    except OSError as error:
        raise OmnipatchError(f"{target}: cannot be written ({error.strerror or error})") from error
    Voice(given.quiet).result(str(target))
