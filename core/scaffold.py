"""The writer of a new modality: a third-party distribution that works, and passes the conformance kit, as written.

The files are templates in `skeleton/`, with `$name` and `$cls` for the modality's name and class. They end in `.txt`,
so that no tool takes them for code of this package.
"""

from __future__ import annotations

import keyword
import re
import sys
from importlib.metadata import packages_distributions
from importlib.resources import files
from pathlib import Path
from string import Template

from .errors import InputError, OmnipatchError
from .registry import list_modalities

# template -> place in the new folder
_FILES = {
    "pyproject.toml.txt": "pyproject.toml",
    "README.md.txt": "README.md",
    "recipe.yaml.txt": "$name-jepa.yaml",
    "init.py.txt": "src/omnipatch_$name/__init__.py",
    "modality.py.txt": "src/omnipatch_$name/modality.py",
    "test_modality.py.txt": "tests/test_$name.py",
}


def write_modality(name: str, out: str | Path = ".") -> Path:
    """Write the package of a new modality into the new folder `out/omnipatch-NAME` and return it.

    Raises InputError for a name that cannot be one or is taken, and for a folder that exists; OmnipatchError when the
    files cannot be written.
    """
    _check_name(name)
    folder = Path(out) / f"omnipatch-{name}"
    if folder.exists():
        raise InputError("the folder exists", source=folder, fix="choose another --out or remove it")
    words = {"name": name, "cls": "".join(part.capitalize() for part in name.split("_"))}
    templates = files(__package__ or "") / "skeleton"
    try:
        for template, place in _FILES.items():
            path = folder / Template(place).substitute(words)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(Template((templates / template).read_text(encoding="utf-8")).substitute(words), "utf-8")
    except OSError as error:
        raise OmnipatchError(f"{folder}: cannot be written ({error.strerror or error})") from error
    return folder


def _check_name(name: str) -> None:
    """A name is a word in a recipe, a module and (in capitals) a class."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
        raise InputError(
            "not a name for a modality", field="NAME", got=name, expected="lower-case letters, digits and underscores",
            fix="for example gait or eye_tracking",
        )  # fmt: skip
    taken = {entry.name: entry.distribution for entry in list_modalities()}
    if name in taken:
        raise InputError(f"modality {name!r} is taken by {taken[name]}", field="NAME", fix="choose another name")
    if keyword.iskeyword(name) or name in sys.stdlib_module_names or f"omnipatch_{name}" in packages_distributions():
        raise InputError(f"{name!r} means something else to Python", field="NAME", fix="choose another name")
