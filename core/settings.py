"""Recipes: find, read, merge with overrides, check, and turn into typed data.

    load("ecg-jepa", ["--encoder.width", "384"]) -> Settings(recipe, modality, source)

A recipe is a shipped name or a YAML path. Overrides are dotted keys; their values are read as YAML. `modality`,
`encoder` and `objective` may be given as a bare name (`--objective mae`). A modality or encoder that changes its name
drops the options of the old one; an objective keeps what the recipe says of views, heads and terms, which is about the
data, so that a variant is one flag. A recipe's section `tasks` holds what differs for a task of the modality, by its
name (which of many actions is another question than how well one was done), and `demo` what differs on the embedded
demo data (shorter training). `--data.root` alone means the user's own files, where a modality has a form for them.
Every error names key, place ("recipe.yaml:12" or the option) and the nearest known key.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import re
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .config import Recipe, TrainerConfig
from .errors import InputError, nearest
from .settings_check import build_section, check_value, refuse_without_effect, unknown_key
from .settings_yaml import Located, dump_yaml, parse_value, parse_yaml, read_yaml

if TYPE_CHECKING:
    from .modality import Modality

NAMED_SECTIONS = ("modality", "encoder", "objective")
BLOCK_SECTIONS = ("modality", "encoder")  # whose options mean nothing under another name


@dataclass(frozen=True)
class Settings:
    """A checked recipe, the modality it configures, and where it came from."""

    recipe: Recipe
    modality: Modality
    source: str


# ---- shipped recipes ------------------------------------------------------------------------------------------


def shipped_recipes() -> dict[str, str]:
    """{name: YAML text} of the recipes that come with the package."""
    folder = files((__package__ or "").rpartition(".")[0] + ".recipes")
    found = {f.name: f.read_text(encoding="utf-8") for f in folder.iterdir() if f.name.endswith(".yaml")}
    return {name.removesuffix(".yaml"): found[name] for name in sorted(found)}


def find_recipe(name: str) -> Located:
    """A shipped recipe by name, or a YAML file by path."""
    shipped = shipped_recipes()
    if name in shipped:
        return parse_yaml(shipped[name], f"{name}.yaml")
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or path.exists():
        if path.is_dir():
            path = path / "config.yaml"
        elif path.suffix.lower() in (".csv", ".tsv", ".txt"):
            fix = "name a recipe, and your files by --data.manifest FILE or --data.root FILE"
            raise InputError("this is a table and no recipe", source=path, expected="RECIPE", fix=fix)
        return read_yaml(path)
    raise InputError(f"unknown recipe {name!r}", fix=f"{nearest(name, shipped)} (or give the path of a YAML file)")


# ---- overrides and merging ------------------------------------------------------------------------------------


def parse_overrides(arguments: Sequence[str]) -> Located:
    """`--a.b value`, `--a.b=value` and bare `--a.b` (true) as nested data."""
    located = Located()
    rest = list(arguments)
    while rest:
        option = rest.pop(0)
        if not option.startswith("--") or len(option) == 2:
            raise InputError(f"unexpected argument {option!r}", fix="overrides are written --section.key value")
        key, given, text = option[2:].partition("=")
        if not given:
            bare = not rest or rest[0].startswith("--")
            text = "true" if bare else rest.pop(0)
            if bare:
                located.bare |= {key.replace("-", "_")}
        _put(located, key.replace("-", "_"), parse_value(text), f"--{key}")
    return located


def _put(located: Located, key: str, value: Any, place: str) -> None:
    names = key.split(".")
    if not all(names):
        raise InputError(f"malformed key {place}", fix="overrides are written --section.key value")
    at = located.data
    for i, name in enumerate(names[:-1]):
        at = at.setdefault(name, {})
        if not isinstance(at, dict):
            at = _named(at, ".".join(names[: i + 1]), located)
    old = at.get(names[-1])
    if isinstance(old, dict):  # keys of it were given before: neither order loses any
        from .compose import merge

        value = _as_section(value) if key in NAMED_SECTIONS else value
        value = merge(old, value) if isinstance(value, Mapping) else value
    at[names[-1]] = value
    located.places[key] = place


def _named(old: Any, key: str, located: Located) -> dict[str, Any]:
    """`--objective mae --objective.x 1`: the bare name becomes a section that can take keys."""
    if key not in NAMED_SECTIONS:
        raise InputError(f"{key} is given both as a value and as a section", source=located.where(key))
    located.data[key] = {"name": old}
    return located.data[key]


def merge_settings(base: Located, over: Located) -> Located:
    """Deep merge of a recipe and overrides."""
    from .compose import merge

    data = dict(base.data)
    for key, value in over.data.items():
        old = data.get(key)
        if key in NAMED_SECTIONS:
            old, value = _as_section(old), _as_section(value)
            keeps = isinstance(value, Mapping) and not (key in BLOCK_SECTIONS and _renames(old, value))
            data[key] = merge(old or {}, value) if keeps else value
        elif isinstance(old, Mapping) and isinstance(value, Mapping):
            data[key] = {**old, **value}
        else:
            data[key] = value
    return Located(data, {**base.places, **over.places}, over.bare)


def _renames(old: Any, new: Mapping[str, Any]) -> bool:
    return isinstance(old, Mapping) and "name" in new and new["name"] != old.get("name")


def _as_section(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


# ---- loading --------------------------------------------------------------------------------------------------


def load(name: str, overrides: Sequence[str] = ()) -> Settings:
    """Find, merge and check a recipe. Raises InputError for anything that is not right."""
    base, over = find_recipe(name), parse_overrides(overrides)
    if "name" not in base.data:
        base.data["name"] = Path(name).stem
    for_tasks, for_demo = _take_section(base, "tasks"), _take_section(base, "demo")
    asked = merge_settings(base, over)
    data, modality = asked.data.get("data", {}), _as_section(asked.data.get("modality", {}))
    if isinstance(data, Mapping):
        own = _as_section(base.data.get("modality", {}))
        if for_tasks.data and isinstance(modality, Mapping) and not _renames(own, modality):
            known = build_modality({"name": modality.get("name", Recipe().modality["name"])}, asked)
            base = merge_settings(base, _for_task(for_tasks, known, data))
        if data.get("name", "demo") == "demo" and not (data.get("manifest") or data.get("root")):
            base = merge_settings(base, for_demo)
    settings = build(merge_settings(base, over), name)
    refuse_without_effect(over, settings.recipe)
    return settings


def _take_section(base: Located, name: str) -> Located:
    """Take a section of recipe keys out of a recipe or section: values that hold under a condition."""
    section = base.data.pop(name, None) or {}
    if not isinstance(section, Mapping):
        raise InputError(f"{name} is a section of recipe keys", source=base.where(name), got=section)
    start = f"{name}."
    return Located(dict(section), {k.removeprefix(start): at for k, at in base.places.items() if k.startswith(start)})


def _for_task(for_tasks: Located, modality: Modality, data: Mapping[str, Any]) -> Located:
    """What a recipe says for the task of its modality that is asked for: by name, or as the first of a named set."""
    known, datasets = modality.tasks(), modality.datasets()
    for name in for_tasks.data:
        if name not in known:
            raise InputError(f"unknown task {name} in tasks", source=for_tasks.where(name), fix=nearest(name, known))
    name, task = data.get("name"), data.get("task")
    if task is None and isinstance(name, str) and name in datasets:
        task = next(iter(datasets[name].tasks), None)
    return _take_section(for_tasks, task) if isinstance(task, str) and task in for_tasks.data else Located()


def load_plain(data: Mapping[str, Any], source: str) -> Settings:
    """Check a recipe given as plain data (from a saved model or run)."""
    return build(Located(dict(data)), source)


def build(located: Located, source: str) -> Settings:
    """Typed settings from merged plain data."""
    data = {k: (_as_section(v) if k in NAMED_SECTIONS else v) for k, v in located.data.items()}
    if isinstance(data.get("trainer"), Mapping):
        data["trainer"] = _route_trainer(data["trainer"], located)
    if isinstance(data.get("data"), Mapping) and data["data"].get("manifest") and "name" not in data["data"]:
        data["data"] = {**data["data"], "name": "manifest"}
    for key in NAMED_SECTIONS:
        if not isinstance(data.get(key, {}), Mapping):
            raise InputError(f"{key} is a name or a section", source=located.where(key), got=data[key])
        data[key] = {**getattr(Recipe(), key), **data.get(key, {})}
    recipe: Recipe = build_section(Recipe, data, "", located)
    modality = build_modality(recipe.modality, located)
    if recipe.data.root is not None and recipe.data.name == "demo":
        recipe = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, name=_own(modality, located)))
    _check_encoder(recipe.encoder, located)
    _check_objective(recipe.objective, located)
    return Settings(_complete(recipe, modality), modality, source)


def _own(modality: Modality, located: Located) -> str:
    """The data set that is meant where only its place is given."""
    if not modality.own_dataset:
        raise InputError(
            "which data set lies there is not said", source=located.where("data.root"), field="data.root",
            fix="add --data.name NAME, or list your own files in a manifest: --data.manifest FILE.csv",
        )  # fmt: skip
    return modality.own_dataset


def _complete(recipe: Recipe, modality: Modality) -> Recipe:
    """The recipe with every default of its modality, encoder and objective, so that later defaults cannot change it."""
    from .blocks.registry import describe
    from .compose import resolve_objective

    name, objective = str(recipe.encoder["name"]), resolve_objective(recipe.objective)
    for section, entries in recipe.objective.items():  # an entry taken out stays out when this is read again
        if isinstance(entries, Mapping):
            objective[section] |= {name: None for name, entry in entries.items() if entry is None}
    return dataclasses.replace(
        recipe,
        modality={"name": recipe.modality["name"], **dataclasses.asdict(modality.config)},
        encoder={"name": name, **describe("encoder")[name], **recipe.encoder},
        objective=objective,
    )


def build_modality(options: Mapping[str, Any], located: Located | None = None) -> Modality:
    """The modality that `options["name"]` names, configured with the remaining options."""
    from .registry import load_modality

    located = located or Located()
    own = {k: v for k, v in options.items() if k != "name"}
    try:
        cls = load_modality(str(options["name"]))
    except InputError as error:
        raise _placed(error, located, "modality.name", "modality") from error
    return cls(build_section(cls.Config, own, "modality", located))


def to_plain(recipe: Recipe) -> dict[str, Any]:
    """The whole recipe as plain data (what `config.yaml` holds)."""
    return dataclasses.asdict(recipe)


def to_yaml(recipe: Recipe) -> str:
    """The whole recipe as YAML that `load` reads back."""
    return dump_yaml(to_plain(recipe))


def _route_trainer(section: Mapping[str, Any], located: Located) -> dict[str, Any]:
    """Keys that are not ours but lightning.Trainer's go to `extra`."""
    own = {f.name for f in dataclasses.fields(TrainerConfig)}
    foreign = {k: v for k, v in section.items() if k not in own}
    routed = {k: v for k, v in section.items() if k in own}
    if foreign:
        from lightning import Trainer

        accepted = set(inspect.signature(Trainer.__init__).parameters) - {"self"} - own
        for key in foreign:
            if key not in accepted:
                close = difflib.get_close_matches(key, accepted | own, n=1, cutoff=0.5)
                raise unknown_key(f"trainer.{key}", close or own, located)
        routed["extra"] = {**(section.get("extra") or {}), **foreign}
    return routed


def _check_encoder(options: Mapping[str, Any], located: Located) -> None:
    from .blocks import registry

    try:
        registry.check("encoder", options, "encoder")
    except InputError as error:
        raise _placed(error, located, "encoder") from error
    hints = typing.get_type_hints(registry.block("encoder", str(options["name"])).__init__)
    for key, value in options.items():
        if key in hints:
            check_value(value, hints[key], f"encoder.{key}", located)


def _check_objective(options: Mapping[str, Any], located: Located) -> None:
    from .compose import resolve_objective

    try:
        resolve_objective(options)
    except InputError as error:
        raise _of_another(
            _placed(error, located, "objective.name", "objective"), str(options["name"]), located
        ) from error
    except (AttributeError, TypeError, KeyError) as error:  # a number or list where a section belongs
        raise InputError(
            "a section of the objective has the wrong form", source=located.where("objective"), got=str(error)
        ) from error


def _of_another(error: InputError, name: str, located: Located) -> InputError:
    """The same error, where an option asks for an objective that the recipe's own words do not fit: what to do then."""
    from .compose import shipped_compositions

    asked = any(located.places.get(key, "").startswith("--") for key in ("objective", "objective.name"))
    if not asked or str(error.source or "").startswith("--"):
        return error
    known = shipped_compositions()
    if name not in known:
        return InputError(f"unknown objective {name!r}", source=located.where("objective"), fix=nearest(name, known))
    modality, fitting = _as_section(located.data.get("modality", ""))["name"], []
    for recipe, text in shipped_recipes().items():
        data = parse_yaml(text, recipe).data
        if [_as_section(data[key])["name"] for key in ("modality", "objective")] == [modality, name]:
            fitting.append(recipe)
    key = next(iter(re.findall(r"objective\.\w+\.\w+", error.what)), "objective.SECTION.ENTRY")
    return InputError(
        f"what the recipe says of its own objective does not fit {name}: {error.what}", source=error.source,
        fix=f"{'run ' + ' or '.join(fitting) if fitting else 'use a recipe made for it'}, or take it out: --{key} null",
    )  # fmt: skip


def _placed(error: InputError, located: Located, *fallback: str) -> InputError:
    """The same error with the place of the key it talks about."""
    if error.source is not None:
        return error
    keys = [*re.findall(r"\b(?:objective|encoder|modality)(?:\.\w+)+", error.what), *fallback]
    place = next((p for p in map(located.where, keys) if p), None)
    return InputError(
        error.what, source=place, field=error.field, got=error.got, expected=error.expected, fix=error.fix
    )
