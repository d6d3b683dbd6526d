"""What a window cache depends on, as one key: files, preprocessing, task and code.

Design decisions
- Files up to 16 MiB are hashed whole, so an edited label or header is always seen and a copied or touched corpus
  keeps its cache. Of a longer file the size, the modification time and evenly spaced blocks are hashed: reading
  a whole corpus before each run would cost more than the run's own loading.
- A recording is its file plus the files beside it with the same stem (`100.hea`, `100.dat`, `100.atr`). Where a
  folder is a recording, all files in it count.
- Paths are not part of the key, names are: moving a corpus keeps its cache.
- The modality's own package is part of the key: its source and the tables beside it (which term means which class).
  Stale windows after an edit of the preprocessing are a far worse surprise than a rebuild after an edit of a comment.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from .. import crop, sequence, signals
from ..errors import InputError
from ..modality import Modality, Source, Task
from . import dense, sensors, shard
from .digest import digest_file

FORMAT = 1  # layout of the cache folder
WHOLE_BYTES = 16 * 2**20
_SHARED = (sequence, signals, crop, dense, sensors, shard)  # what of the core makes windows
_PACKAGE_SUFFIXES = (".py", ".csv", ".yaml")


def store_key(modality: Modality, sources: Sequence[Source], task: Task | None, jobs: int = 1) -> str:
    """Hexadecimal key of the windows that this modality makes of these sources for this task.

    Raises InputError when a source's file does not exist.
    """
    files = _fingerprints(_with_related(sources), jobs)

    def plain(value: object) -> object:
        if isinstance(value, Source):  # a recording that another one needs, by what it is and not by where it lies
            fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.name != "path"}
            return {**fields, "path": files.get(value.path)}
        return _plain(value)

    content = {
        "format": FORMAT,
        "code": _code(modality),
        "modality": [modality.name, type(modality).__qualname__, dataclasses.asdict(modality.config)],
        "task": dataclasses.asdict(task) if task else None,
        **({"learned": dict(learned)} if (learned := modality.learned()) else {}),
        "sources": list(sources),
    }
    text = json.dumps(content, sort_keys=True, default=plain)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _with_related(sources: Iterable[Source]) -> Iterator[Source]:
    """The sources, and those that `Modality.relate` has put into their extras."""
    for source in sources:
        yield source
        for value in source.extras.values():
            if isinstance(value, tuple | list):
                yield from _with_related(other for other in value if isinstance(other, Source))


def _fingerprints(sources: Iterable[Source], jobs: int) -> dict[Path | None, list[list[Any]]]:
    """{path: [[name, digest, modification time of a long file], ...]} of every source's files."""
    beside: dict[Path, dict[str, list[Path]]] = {}
    wanted: dict[Path, list[Path]] = {}
    for path in {source.path for source in sources if source.path is not None}:
        folder = path.parent
        if folder not in beside:
            beside[folder] = _by_stem(folder)
        if path.is_dir():
            wanted[path] = sorted(p for p in path.rglob("*") if p.is_file())
        else:
            wanted[path] = beside[folder].get(path.stem if path.suffix else path.name, [])
            if not path.suffix or path not in wanted[path]:  # a record named without a suffix may hold dots itself
                wanted[path] = sorted({*wanted[path], *beside[folder].get(path.name, [])})
    distinct = sorted({file for files in wanted.values() for file in files})
    hashed: Any = Parallel(n_jobs=jobs, prefer="threads")(map(delayed(_file), distinct))
    digests = dict(zip(distinct, hashed, strict=True))
    return {path: [[file.name, *digests[file]] for file in files] for path, files in wanted.items()}


def _file(path: Path) -> tuple[str, int]:
    try:
        stat = path.stat()
        return digest_file(path, WHOLE_BYTES), 0 if stat.st_size <= WHOLE_BYTES else stat.st_mtime_ns
    except OSError:  # an unreadable file is skipped, with its reason, when it is opened
        return "unreadable", 0


def _by_stem(folder: Path) -> dict[str, list[Path]]:
    if not folder.is_dir():
        raise InputError("there is no such folder", source=folder, fix="check where the recordings lie")
    files: dict[str, list[Path]] = defaultdict(list)
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda e: e.name):
            if entry.is_file():
                files[Path(entry.name).stem].append(Path(entry.path))
    return files


def _code(modality: Modality) -> str:
    """Hash of the source files and tables that turn a recording into patches and labels."""
    files = {f"core/{Path(m.__file__).name}": Path(m.__file__) for m in _SHARED if m.__file__}
    for cls in type(modality).__mro__:
        if issubclass(cls, Modality) and cls is not Modality:
            module = inspect.getmodule(cls)
            source = getattr(module, "__file__", None)
            if source is not None:
                files |= _package_files(Path(source), getattr(module, "__package__", "") or "")
    total = hashlib.sha256()
    for name, file in sorted(files.items()):
        total.update(f"{name} {digest_file(file, WHOLE_BYTES)} ".encode())
    return total.hexdigest()


def _package_files(source: Path, package: str) -> dict[str, Path]:
    """{name that does not depend on where the package lies: file} of a module's package, or of the module alone."""
    if not package:
        return {source.name: source}
    folder = source.parent
    found = (file for suffix in _PACKAGE_SUFFIXES for file in folder.rglob(f"*{suffix}"))
    return {f"{package}/{file.relative_to(folder).as_posix()}": file for file in found if file.is_file()}


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray):
        return [str(value.dtype), value.shape, hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()]
    if isinstance(value, np.generic):
        return value.item()
    return repr(value)
