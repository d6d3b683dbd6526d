"""YAML as plain data, with the line of every key.

Only the standard tags are read (a `!!python/...` tag is refused), keys are unique strings, aliases cannot blow a
file up, and `class_path` is refused by name: a recipe chooses registered names and can never import code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .errors import InputError

_MAX_NODES, _MAX_DEPTH = 10_000, 24
_IMPORTING_KEYS = {"class_path", "init_args", "_target_", "__path__"}
_SCALARS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null")}


class _Loader(yaml.SafeLoader):
    """Safe loader that also reads `1e-3` as a number (YAML 1.1 takes it for text) and leaves dates as text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if not tag.endswith((":timestamp", ":merge", ":value"))]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


class _Dumper(yaml.SafeDumper):
    """Safe dumper that quotes whatever `_Loader` would not read back as the same text.

    Plain text that looks like `1e-3` is a number to the loader, and PyYAML folds the line breaks beyond ASCII into
    spaces unless they are escaped, which only double quotes can do.
    """

    yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    broken = any(mark in text for mark in "\x85\u2028\u2029")
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if broken else None)


_Dumper.add_representer(str, _text)


@dataclass
class Located:
    """Plain data and where each dotted key of it was written ("recipe.yaml:12" or "--encoder.width").

    bare: keys of options without a value, which mean true.
    """

    data: dict[str, Any] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    bare: frozenset[str] = frozenset()

    def where(self, key: str) -> str | None:
        """Place of a dotted key, else of something inside it, else of the nearest enclosing one that was written."""
        while key:
            found = [self.places[key]] if key in self.places else []
            found += [place for other, place in self.places.items() if other.startswith(f"{key}.")]
            if found:  # an override was written after the file
                return next((place for place in found if place.startswith("--")), found[0])
            key = key.rpartition(".")[0]
        return None


def read_yaml(path: Path) -> Located:
    """Read a recipe file. Raises InputError with file and line."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError("recipe file not found", source=path) from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("recipe file cannot be read as UTF-8 text", source=path, got=str(error)) from error
    return parse_yaml(text, str(path))


def parse_yaml(text: str, source: str) -> Located:
    """Parse YAML text whose top level is a mapping (or empty)."""
    try:
        return _located(_Loader(text), source)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{source}:{mark.line + 1}" if mark else source
        raise InputError("not valid YAML", source=place, got=error.problem or str(error)) from error
    except InputError:
        raise
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError("not valid YAML", source=source, got=str(error).splitlines()[0]) from error


def _located(loader: _Loader, source: str) -> Located:
    located, node = Located(), loader.get_single_node()
    if node is None:
        return located
    if not isinstance(node, yaml.MappingNode):
        raise InputError("a recipe is a mapping of keys to values", source=source, got=node.value)
    located.data = _Walker(loader, source, located.places).mapping(node, "", 0)
    return located


def parse_value(text: str) -> Any:
    """Value of an override, read as YAML (`384`, `true`, `[1, 2]`, `{name: span}`), else as the text itself."""
    try:
        return parse_yaml(f"value: {text}", "command line").data["value"]
    except InputError:
        if text.startswith("!") or any(key in text for key in _IMPORTING_KEYS):
            raise
        return text


class _Walker:
    def __init__(self, loader: _Loader, source: str, places: dict[str, str]) -> None:
        self.loader, self.source, self.places = loader, source, places
        self.visited = 0

    def place(self, node: yaml.Node) -> str:
        return f"{self.source}:{node.start_mark.line + 1}"

    def value(self, node: yaml.Node, key: str, depth: int) -> Any:
        self.visited += 1
        if self.visited > _MAX_NODES or depth > _MAX_DEPTH:
            raise InputError("too large or too deeply nested for a recipe", source=self.place(node))
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, key, depth)
        if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
            return [self.value(child, key, depth + 1) for child in node.value]
        if node.tag not in _SCALARS:
            raise self._refused(node, f"tag {node.tag}")
        return self.loader.construct_object(node)

    def mapping(self, node: yaml.MappingNode, key: str, depth: int) -> dict[str, Any]:
        if node.tag != "tag:yaml.org,2002:map":
            raise self._refused(node, f"tag {node.tag}")
        result: dict[str, Any] = {}
        for name_node, child in node.value:
            name = str(self.value(name_node, key, depth + 1))
            if name in _IMPORTING_KEYS:
                raise self._refused(name_node, f"key {name}")
            if name in result:
                raise InputError(f"key {name!r} is written twice", source=self.place(name_node))
            path = f"{key}.{name}" if key else name
            self.places[path] = self.place(name_node)
            result[name] = self.value(child, path, depth + 1)
        return result

    def _refused(self, node: yaml.Node, what: str) -> InputError:
        return InputError(
            f"{what} is refused, a recipe cannot import code",
            source=self.place(node),
            fix="choose blocks and modalities by their registered name",
        )


def dump_yaml(data: Mapping[str, Any]) -> str:
    """Plain data as YAML in the order given (tuples become lists)."""
    return yaml.dump(_plain(data), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value
