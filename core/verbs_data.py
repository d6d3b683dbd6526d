"""The verb `data`: list named data sets, fetch one, check a folder or manifest, prepare the windows of a recipe."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from .config import DataConfig
from .console import Voice
from .errors import InputError, nearest
from .settings import Settings, build_modality, load, parse_overrides
from .settings_check import build_section

if TYPE_CHECKING:
    from .modality import Dataset, Modality

_WANTED = {"fetch": "NAME", "check": "PATH", "prepare": "RECIPE"}


def data(given: argparse.Namespace, overrides: list[str]) -> int | None:
    """Dispatch to the four actions."""
    voice = Voice(given.quiet)
    if given.action == "list":
        return _list(voice)
    if given.subject is None:
        raise InputError(f"data {given.action} needs {_WANTED[given.action]}", fix="see omnipatch data --help")
    if given.action == "fetch":
        return _fetch(given.subject, overrides, voice)
    if given.action == "check":
        return _check(given.subject, overrides, voice)
    return _prepare(load(given.subject, overrides), voice)


def named_datasets() -> list[tuple[Modality, Dataset]]:
    """All data sets of all usable modalities."""
    from .registry import list_modalities, load_modality

    usable = [load_modality(entry.name)() for entry in list_modalities(probe=True) if not entry.problem]
    return [(modality, dataset) for modality in usable for dataset in modality.datasets().values()]


def _list(voice: Voice) -> None:
    base = os.environ.get("OMNIPATCH_DATA")
    rows = []
    for modality, dataset in named_datasets():
        here = bool(base) and (Path(base or "") / dataset.folder).exists()
        how = "omnipatch data fetch" if dataset.downloads else "by hand"
        rows.append(
            (dataset.name, modality.name, ", ".join(dataset.tasks), dataset.licence, how, "yes" if here else "")
        )
    voice.table(("data set", "modality", "tasks", "licence", "get it by", "here"), rows)
    voice.result("\nhere: found under OMNIPATCH_DATA" if base else "\nset OMNIPATCH_DATA to the folder that holds them")


def _fetch(name: str, overrides: list[str], voice: Voice) -> None:
    from .data.fetch import fetch

    known = {dataset.name: dataset for _, dataset in named_datasets()}
    if name not in known:
        raise InputError(f"unknown data set {name!r}", fix=nearest(name, known))
    root = parse_overrides(overrides).data.get("data", {}).get("root")
    done = fetch(known[name], root, lambda i, total, file: voice.step(f"{i + 1}/{total} {file}"))
    voice.result(f"{done.folder}: {len(done.downloaded)} files downloaded, {len(done.present)} were there")


def _check(path: str, overrides: list[str], voice: Voice) -> int:
    """Open every recording of a folder or manifest; 0 when all can be read, 1 when some cannot."""
    from .data.check import check_sources
    from .data.sources import resolve_sources

    modality, config = _what(path, overrides)
    sources = resolve_sources(modality, config)
    with voice.counting("reading") as progress:
        found = check_sources(modality, sources, config.jobs, progress)
    voice.table(("", sources.name), found.table())
    if found.unreadable:
        voice.result("")
        voice.table(("record", "problem"), [(record.record, record.problem) for record in found.unreadable])
    if doubts := found.doubts():
        voice.result("")
        voice.table(("record", "sensor", "remark"), doubts)
    if found.readable and not any(record.subject for record in found.readable):
        voice.result("\nno subject is known, so there can be no split by subject: name them in a manifest")
    elif sources.note:
        voice.result(f"\n{sources.note}")
    return 1 if found.unreadable else 0


def _what(path: str, overrides: list[str]) -> tuple[Modality, DataConfig]:
    """Modality and data block for a path: a data set's folder or file by `--data.name`, else a manifest."""
    over = parse_overrides(overrides)
    section = dict(over.data.get("data") or {})
    name, place = section.get("name"), Path(path)
    if not place.exists():
        raise InputError("there is no such file or folder", source=path)
    if place.is_dir() and name is None:
        raise InputError("say which data set this folder holds", source=path, fix="add --data.name NAME")
    of_set = place.is_dir() or name not in (None, "manifest")  # some sets are one file
    section |= {"root": path} if of_set else {"manifest": path, "name": "manifest"}
    config: DataConfig = build_section(DataConfig, section, "data", over)
    modality = over.data.get("modality")
    if modality is None:
        modality = _owner(str(name)) if of_set else _only_modality()
    return build_modality({"name": modality} if isinstance(modality, str) else modality, over), config


def _owner(dataset: str) -> str:
    owners = {known.name: modality.name for modality, known in named_datasets()}
    if dataset not in owners:
        raise InputError(f"unknown data set {dataset!r}", field="data.name", fix=nearest(dataset, owners))
    return owners[dataset]


def _only_modality() -> str:
    from .registry import list_modalities

    names = [entry.name for entry in list_modalities()]
    if len(names) != 1:
        raise InputError("say what the files hold", fix=f"add --modality NAME ({', '.join(names)})")
    return names[0]


def _prepare(settings: Settings, voice: Voice) -> None:
    from .prepared import prepare

    voice.result(str(prepare(settings, voice).store.folder))
