"""The run folder: where one run's files lie, who may write there, and what describes the run.

    config.yaml  env.json  metrics.csv  checkpoints/  model/  split.json  results.json  report.html  report.npz
    predictions.npz  classifier/

`report.npz` holds the arrays behind the figures, so that `omnipatch report RUN` can draw them again. `predictions.npz`
holds what every row decided about whom, for `omnipatch compare`; it names test subjects, as `split.json` does.
`classifier/` is what fine-tuning made of the model, for `omnipatch predict`.
"""

from __future__ import annotations

import csv
import io
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from .config import Recipe
from .errors import CorruptFileError, InputError
from .settings import to_plain, to_yaml
from .settings_yaml import read_yaml

_OWN_FILES = (
    "config.yaml", "env.json", "metrics.csv", "checkpoints", "model", "split.json", "results.json", "report.html",
    "report.npz", "predictions.npz", "classifier", "folds", "seeds", "tensorboard", ".lock",
)  # fmt: skip
# processes that Lightning starts for further devices run the same command and must find the same folder
_HANDED_DOWN = "OMNIPATCH_RUN_FOLDER"
# keys that may differ between a run and its resume: they do not touch pretraining
_FREE_SECTIONS = ("name", "description", "probe", "finetune", "semi", "evaluate")
_FREE_KEYS = {
    "data": ("root", "cache", "jobs"),
    "trainer": (
        "max_steps", "max_passes", "accelerator", "devices", "num_nodes", "strategy", "folds_at_once",
        "checkpoint_every", "keep_checkpoints", "log_every", "tensorboard", "extra",
    ),
}  # fmt: skip


@contextmanager
def run_folder(recipe: Recipe, out: str | None, *, resume: bool, overwrite: bool, verb: str = "") -> Iterator[Path]:
    """Choose, check, lock and describe the folder of a run.

    Raises InputError when the folder is in use, holds a run already (without `resume` or `overwrite`), holds
    something else, or holds a run of another configuration (with `resume`).
    """
    from .distributed import is_main_process
    from .train.lock import folder_lock

    if resume and overwrite:
        raise InputError("--resume goes on with a run and --overwrite deletes it", fix="give one of them")
    handed = os.environ.get(_HANDED_DOWN)
    if not is_main_process() and handed:
        yield Path(handed)
        return
    folder = Path(out) if out else _default_folder(recipe, verb, resume)
    if folder.exists() and not folder.is_dir():
        raise InputError("the run folder is a file", source=folder, fix="choose another --out")
    with folder_lock(folder):
        if resume:
            _refuse_other_run(folder, recipe)
        elif overwrite:
            clear(folder)
        elif _content(folder):
            fix = "choose another --out, continue with --resume or start again with --overwrite"
            raise InputError("the run folder is not empty", source=folder, fix=fix)
        os.environ[_HANDED_DOWN] = str(folder.resolve())
        try:
            write_text(folder / "config.yaml", to_yaml(recipe))
            write_json(folder / "env.json", environment())
            yield folder
        except InputError:
            if not resume:
                _remove_refused(folder)
            raise
        finally:
            os.environ.pop(_HANDED_DOWN, None)


def _remove_refused(folder: Path) -> None:
    """A run that was refused before it did anything leaves no folder in the way of the next try."""
    if set(_content(folder)) <= {"config.yaml", "env.json", "split.json"}:
        shutil.rmtree(folder)


def clear(folder: Path) -> None:
    """Delete the files of a run; refuses when the folder holds anything that is not ours."""
    foreign = [name for name in _content(folder) if name not in _OWN_FILES]
    if foreign:
        raise InputError(
            "--overwrite deletes run folders only, this folder holds other files", source=folder, got=foreign[0],
            fix="choose another --out",
        )  # fmt: skip
    for name in _content(folder):
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def write_json(path: Path, content: Any) -> None:
    """Write JSON beside the target and rename it there."""
    write_text(path, json.dumps(content, indent=2, default=str) + "\n")


def write_csv(path: Path, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a line of names and the rows beside the target and rename it there."""
    content = io.StringIO()
    csv.writer(content, lineterminator="\n").writerows([head, *rows])
    write_text(path, content.getvalue())


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text beside the target and rename it there."""
    from .train.atomic import replacing

    with replacing(path) as file:
        file.write(text.encode())


def environment() -> dict[str, Any]:
    """Versions, commit, hardware and threads: what one needs to judge or repeat a run. Names no host and no user."""
    import torch

    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return {
        "command": " ".join(["omnipatch", *sys.argv[1:]]),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "versions": versions(),
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
    }


def versions() -> dict[str, str]:
    """Versions of Python, of this package and of its dependencies, optional ones where installed."""
    found = {"python": platform.python_version(), "omnipatch": version("omnipatch")}
    for requirement in requires("omnipatch") or []:
        name = requirement.split(";")[0].split("[")[0].strip()
        for sign in "<>=!~ ":
            name = name.split(sign)[0]
        try:
            found.setdefault(name, version(name))
        except PackageNotFoundError:
            continue
    return found


def commit() -> str | None:
    """Commit of the package's own checkout, None for an installed wheel."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty"], capture_output=True, text=True, timeout=5
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _default_folder(recipe: Recipe, verb: str, resume: bool) -> Path:
    name = "-".join(part for part in (recipe.name, verb) if part)
    if resume:
        unfinished = [p.parent for p in Path("runs").glob(f"{name}-*/config.yaml")]
        if not unfinished:
            raise InputError(f"there is no run of {name} in runs/ to resume", fix="name it with --out DIR")
        return max(unfinished, key=lambda folder: folder.stat().st_mtime)
    stem = Path("runs") / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    return next(p for p in (stem, *(stem.with_name(f"{stem.name}-{i}") for i in range(1, 1000))) if not p.exists())


def _refuse_other_run(folder: Path, recipe: Recipe) -> None:
    if not (folder / "config.yaml").exists():
        return  # killed before its first file, or a new folder: start from the beginning
    old, new = read_yaml(folder / "config.yaml").data, json.loads(json.dumps(to_plain(recipe)))
    for section, value in new.items():
        if section in _FREE_SECTIONS:
            continue
        pairs = value.items() if isinstance(value, dict) else [(None, value)]
        before = old.get(section)
        for key, now in pairs:
            then = before.get(key) if key is not None and isinstance(before, dict) else before
            if now != then and key not in _FREE_KEYS.get(section, ()):
                name = section if key is None else f"{section}.{key}"
                kept = before if isinstance(before, dict) else {}
                if section not in old or (key is not None and key not in kept):
                    raise CorruptFileError(
                        "a part of the recipe is missing", source=folder / "config.yaml", field=name,
                        fix="the file is cut short, or of another version: start again with --overwrite",
                    )  # fmt: skip
                raise InputError(
                    "--resume continues the same run only", source=folder, field=name, got=now, expected=then,
                    fix="undo the change or choose another --out",
                )  # fmt: skip


def _content(folder: Path) -> list[str]:
    names = sorted(p.name for p in folder.iterdir()) if folder.exists() else []
    return [name for name in names if name != ".lock" and not name.endswith(".part")]


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
