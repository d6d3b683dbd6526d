"""The catalogue `README.md` of this folder, made from the headers of the recipes.

A header is the comment block before the first key: one sentence, an empty line, then `Key   value` lines (Question,
Data, Command, Variant, Paper, and what a recipe wants to add).
"""

from __future__ import annotations

import re
from pathlib import Path

import yaml

_INTRO = """\
# Recipes

One commented YAML a recipe. `omnipatch run NAME` pretrains, evaluates and reports on embedded demo data;
`--data.manifest FILE.csv` or `--data.name NAME` puts your own or public recordings in its place. Any key can be set on
the command line (`--encoder.width 384`), and `omnipatch run NAME --print-config` shows all of them with their values.

Written by `make catalogue` from the headers of the recipes.
"""


def header(text: str) -> tuple[str, dict[str, str]]:
    """The first sentence of a recipe's header, and its `Key   value` lines."""
    comments = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        comments.append(line.removeprefix("#").strip())
    said, _, rest = "\n".join(comments).partition("\n\n")
    pairs = (re.match(r"(\S+)\s{2,}(.+)", line) for line in rest.splitlines())
    return " ".join(said.split()), {m[1]: m[2] for m in pairs if m}


def catalogue(folder: Path) -> str:
    """The whole page: one table, then a section a recipe."""
    recipes = {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.yaml"))}
    lines = [_INTRO, "| recipe | modality | what it does |", "|---|---|---|"]
    for name, text in recipes.items():
        data = yaml.safe_load(text)
        lines.append(f"| [{name}](#{name}) | {data['modality']['name']} | {data['description']} |")
    for name, text in recipes.items():
        said, pairs = header(text)
        lines += ["", f"## {name}", "", f"{said} ([{name}.yaml]({name}.yaml))", ""]
        lines += [f"- {key}: {_value(value)}" for key, value in pairs.items()]
    return "\n".join(lines) + "\n"


def _value(value: str) -> str:
    """Commands as code, their remarks beside them; addresses as links."""
    if value.startswith("omnipatch "):
        command, _, remark = value.partition("  ")
        return f"`{command}`" + (f" {remark.strip()}" if remark.strip() else "")
    return re.sub(r"(https?://[^\s;]+)", r"<\1>", value)


if __name__ == "__main__":
    here = Path(__file__).parent
    (here / "README.md").write_text(catalogue(here), encoding="utf-8")
