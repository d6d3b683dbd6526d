"""The page `docs/options.md`: every option a recipe or the command line may set, with its default and meaning.

Meanings are the comments beside the fields in the source and the first sentences of the blocks' docstrings, so there is
one place to write them.
"""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from ..core.blocks import registry
from ..core.compose import shipped_id_objectives, shipped_objectives, shipped_text_objectives
from ..core.config import Recipe
from ..core.registry import load_modality

_INTRO = """\
# Options

Every key that a recipe (YAML) may hold and the command line may set: `trainer: {max_steps: 200}` is
`--trainer.max_steps 200`. Lists are written `"[1, 2]"`, nothing is `null`. `omnipatch run NAME --print-config` shows
the values of a recipe, which may differ from these defaults. A block is chosen by its name,
`--objective.terms.hidden.loss id_cosine`, or with options, `"{name: id_cosine, temperature: 0.2}"`.

Written by `make catalogue` from the source.
"""
_OBJECTIVES = """\
## objective

Shipped compositions of the blocks below. `--objective NAME` exchanges the one of a recipe for another whose heads and
terms have the names that the recipe sets: contrastive for contrastive, `jepa` for `jepa-sigreg`, `mae` for `dmjd`,
those of ids for each other. A recipe of your own that sets none takes any.

| name | what it is |
|---|---|"""
_MODALITIES = ("ecg", "eeg", "recommender", "skeleton", "speech")
_LONGEST = 48  # characters of a default; longer ones are cut


def options_page() -> str:
    """The whole page: the sections of a recipe, the modalities, the blocks."""
    adapters = {name: load_modality(name) for name in _MODALITIES}  # some bring blocks
    lines = [_INTRO]
    for section in dataclasses.fields(Recipe):
        config = get_type_hints(Recipe)[section.name]
        if dataclasses.is_dataclass(config):
            lines += _section(section.name, config, f"{section.name}.")
    for name, adapter in adapters.items():
        lines += _section(f"modality: {name}", adapter.Config, "modality.")
    lines += [_OBJECTIVES]
    objectives = [*shipped_objectives(), *shipped_text_objectives(), *shipped_id_objectives()]
    lines += [f"| `{name}` | {_first_sentence(_header(name))} |" for name in objectives]
    lines += ["", "## Blocks", ""]
    for kind in registry.kinds():
        rows = [
            f"| `{name}` | {_first_sentence(inspect.getdoc(registry.block(kind, name)) or '')} | {_options(given)} |"
            for name, given in sorted(registry.describe(kind).items())
            if registry.block(kind, name).__module__.startswith("omnipatch.")
        ]
        lines += [f"### {kind}", "", "| name | what it is | options |", "|---|---|---|", *rows, ""]
    return "\n".join(lines).rstrip() + "\n"


def _section(title: str, config: Any, prefix: str) -> list[str]:
    """A heading, what the class says of itself, and a row a field."""
    said = (inspect.getdoc(config) or "").partition("\n\n")[0].replace("\n", " ")
    comments, hints = dict(_comments(config)), get_type_hints(config)
    rows = []
    for field in dataclasses.fields(config):
        factory = field.default_factory
        default = field.default if factory is dataclasses.MISSING else factory()
        words = [comments.get(field.name, ""), _choices(hints[field.name])]
        rows.append(f"| `{prefix}{field.name}` | `{_plain(default)}` | {_cell('; '.join(filter(None, words)))} |")
    return [f"## {title}", "", said, "", "| option | default | meaning |", "|---|---|---|", *rows, ""]


def _comments(config: type) -> Iterator[tuple[str, str]]:
    """(field, the comment above and beside it), those of base classes first."""
    for base in reversed(config.__mro__):
        if not dataclasses.is_dataclass(base):
            continue
        above: list[str] = []
        for line in inspect.getsource(base).splitlines():
            if re.match(r"    (@|def )", line):
                break
            if found := re.match(r"    (\w+): [^#]*?(?:  # (.*))?$", line):
                yield found[1], " ".join([*above, found[2] or ""]).strip()
                above = []
            elif found := re.match(r"    # (.*)$", line):
                above.append(found[1])
            else:
                above = []


def _choices(hint: Any) -> str:
    return " | ".join(map(str, get_args(hint))) if get_origin(hint) is Literal else ""


def _options(given: dict[str, Any]) -> str:
    """`{option: default}` of a block in a line."""
    texts = [
        f"`{name}` (required)" if default is inspect.Parameter.empty else f"`{name}: {_plain(default)}`"
        for name, default in given.items()
    ]
    return _cell(", ".join(texts))


def _plain(value: Any) -> str:
    """A default as a recipe writes it."""
    if isinstance(value, bool) or value is None:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return value or '""'
    if isinstance(value, tuple | list):
        text = f"[{', '.join(map(_plain, value))}]"
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}...".replace("`", "")
    return f"{value:g}" if isinstance(value, float) else str(value)


def _first_sentence(said: str) -> str:
    said = said.partition("\n\n")[0]
    said = (
        re.split(r"(?<!\bal)(?<!\be\.g)(?<!\bi\.e)(?<!\beq)\.\s", said.replace("\n", " ") + " ")[0].strip().rstrip(".")
    )
    return _cell(re.sub(r"(https?://[^\s;:,)]+)", r"<\1>", said))


def _header(objective: str) -> str:
    """The comment that a shipped objective opens with."""
    text = (files("omnipatch.core.objectives") / f"{objective}.yaml").read_text(encoding="utf-8")
    comments = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    return " ".join(line.removeprefix("#").strip() for line in comments)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":  # python -m omnipatch.recipes.options
    page = Path(__file__).resolve().parent.parent / "docs" / "options.md"
    page.write_text(options_page(), encoding="utf-8")
