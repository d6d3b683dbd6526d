"""A layout's YAML file as plain data: safe tags only, bounded in size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ...core.errors import InputError, first_line

_MOST_BYTES = 1 << 18  # a thousand joints


def read_layout_file(path: Path) -> Any:
    """The content of a YAML file. Raises InputError with the file's name."""
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise InputError("layout file cannot be read", source=path, got=error.strerror) from error
    if len(raw) > _MOST_BYTES:
        raise InputError("layout file is too large", source=path, expected=f"at most {_MOST_BYTES} bytes")
    try:
        events = yaml.parse(raw, Loader=yaml.SafeLoader)
        if any(isinstance(event, yaml.AliasEvent) for event in events):  # a few aliases can unfold to gigabytes
            raise InputError("a layout needs no YAML aliases", source=path)
        return yaml.safe_load(raw)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("not YAML", source=path, got=first_line(error)) from error
