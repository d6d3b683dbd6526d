"""The `model/` folder: what is shared with others.

    weights.safetensors   the encoder (no pickle, no code)
    config.json           recipe, encoder options with their defaults, sequence spec, checksum of the weights
    preprocessing.json    the modality and its whole configuration, applied again at inference
    learned.safetensors   what the modality knows of the data it was fitted to, where it is fitted
    README.md             the card

The folder appears at once or not at all. Loading is strict, by registered names only: nothing in it can import code.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file as load_numpy
from safetensors.numpy import save_file as save_numpy
from safetensors.torch import load_file, save_file

from ..blocks.encoder import Encoder
from ..blocks.id_table import tell_known
from ..blocks.registry import build, describe
from ..config import Recipe
from ..errors import CorruptFileError, InputError, damaged
from ..known import KnownIds
from ..modality import Modality
from ..sequence import SequenceSpec
from ..settings import load_plain, to_plain
from .atomic import file_sha256, replacing_folder
from .model_card import model_card
from .seeding import own_random_state

FORMAT = 1
_WEIGHTS, _CONFIG, _PREPROCESSING, _CARD = "weights.safetensors", "config.json", "preprocessing.json", "README.md"
_LEARNED = "learned.safetensors"


@dataclass(frozen=True)
class Model:
    """A loaded model folder; the encoder is in evaluation mode."""

    encoder: Encoder
    modality: Modality
    recipe: Recipe


def fresh_encoder(options: Mapping[str, Any], spec: SequenceSpec, seed: int, known: KnownIds | None = None) -> Encoder:
    """A randomly initialised encoder, a pure function of its arguments; the global random state is left alone.

    known: of ids, what the modality knows (`Modality.known_of_ids`).
    """
    with own_random_state(seed):
        encoder = build("encoder", options, spec)
    if known is not None:
        tell_known(encoder, known)
    return encoder


def save_model(
    folder: Path | str,
    encoder: Encoder,
    modality: Modality,
    recipe: Recipe,
    extra_card: Mapping[str, object] | None = None,
    *,
    tuned: bool = False,
) -> None:
    """Write a model folder, replacing an older one. `extra_card`: further lines of the card, name -> value.

    tuned: the encoder was fine-tuned with labels.
    """
    with replacing_folder(folder) as part:
        state = {name: value.detach().cpu().contiguous() for name, value in encoder.state_dict().items()}
        save_file(state, part / _WEIGHTS, metadata={"format": "pt"})
        digests = {"weights_sha256": file_sha256(part / _WEIGHTS)}
        if learned := modality.learned():
            save_numpy({name: np.ascontiguousarray(array) for name, array in learned.items()}, part / _LEARNED)
            digests["learned_sha256"] = file_sha256(part / _LEARNED)
        config = {
            "format": FORMAT,
            "omnipatch": version("omnipatch"),
            "recipe": {**to_plain(recipe), "encoder": _with_defaults(recipe.encoder)},
            "spec": dataclasses.asdict(encoder.spec),
            **digests,
        }
        preprocessing = {"name": recipe.modality["name"], **dataclasses.asdict(modality.config)}
        (part / _CONFIG).write_text(json.dumps(config, indent=2) + "\n")
        shutil.copymode(part / _CONFIG, part / _WEIGHTS)  # safetensors writes for the owner alone
        (part / _PREPROCESSING).write_text(json.dumps(preprocessing, indent=2) + "\n")
        size = sum(p.numel() for p in encoder.parameters())
        (part / _CARD).write_text(model_card(recipe, encoder.spec, size, preprocessing, extra_card or {}, tuned=tuned))


def of_folds(run: Path, name: str) -> list[Path]:
    """What is called `name` in the folders of a run's folds, in the order of the folds; [] = there is none."""
    return sorted(run.glob(f"folds/*/{name}"), key=lambda path: int(path.relative_to(run).parts[1]))


def load_model(folder: Path | str) -> Model:
    """Read a model folder, or the `model/` of a run folder.

    Raises InputError when there is none, CorruptFileError when a file is damaged or does not fit the others.
    """
    folder = Path(folder)
    if (folder / "model").is_dir():
        folder = folder / "model"
    if not (folder / _CONFIG).exists():
        folds = [path.parent.name for path in of_folds(folder, "model")]
        raise InputError(
            "the run has one model a fold" if folds else "no model here", source=folder,
            expected=f"one of {', '.join(folds)}" if folds else f"a run folder or a folder with {_CONFIG}",
            fix=f"name one, e.g. {folder / 'folds' / folds[0]}" if folds else None,
        )  # fmt: skip
    config, preprocessing = _read_json(folder / _CONFIG), _read_json(folder / _PREPROCESSING)
    if config.get("format") != FORMAT:
        fix = "install the version of omnipatch that wrote it"
        raise InputError(
            "unknown model format", source=folder / _CONFIG, got=config.get("format"), expected=FORMAT, fix=fix
        )
    if not isinstance(config.get("recipe"), dict):
        raise CorruptFileError("has no recipe", source=folder / _CONFIG, field="recipe")
    settings = load_plain({**config["recipe"], "modality": preprocessing}, str(folder / _CONFIG))
    modality = settings.modality
    if "learned_sha256" in config:
        modality = modality.restored(read_tensors(folder / _LEARNED, config, "learned_sha256", load_numpy))
    spec = modality.spec
    _check_spec(spec, config.get("spec"), folder)
    encoder = fresh_encoder(settings.recipe.encoder, spec, seed=0, known=modality.known_of_ids())
    state = read_tensors(folder / _WEIGHTS, config, "weights_sha256", load_file)
    load_strictly(encoder, state, folder / _WEIGHTS)
    return Model(encoder.eval(), modality, settings.recipe)


def read_tensors(path: Path, config: Mapping[str, Any], digest: str, load: Callable[[Path], Any]) -> Any:
    """What `load` finds in a file whose checksum `config[digest]` tells; raises CorruptFileError."""
    try:
        if file_sha256(path) != config.get(digest):
            fix = "they are damaged or cut short: copy the folder again, or repeat the run"
            raise CorruptFileError("the weights do not match their checksum", source=path, field=digest, fix=fix)
        return load(path)
    except (OSError, SafetensorError) as error:
        raise CorruptFileError("the weights cannot be read", source=path, got=str(error)) from error


def load_strictly(module: torch.nn.Module, state: Mapping[str, torch.Tensor], source: object) -> None:
    """Load weights; every name and shape must match. Raises CorruptFileError that names the first that does not."""
    own = module.state_dict()
    shared = own.keys() & state.keys()
    if not shared:
        raise CorruptFileError(
            "no weight matches the model", source=source, got=", ".join(sorted(state)[:3]),
            expected=", ".join(sorted(own)[:3]),
        )  # fmt: skip
    problems = [f"{name} is missing" for name in sorted(own.keys() - state.keys())]
    problems += [f"{name} is unknown" for name in sorted(state.keys() - own.keys())]
    problems += [
        f"{name} has shape {tuple(state[name].shape)} instead of {tuple(own[name].shape)}"
        for name in sorted(shared)
        if state[name].shape != own[name].shape
    ]
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise CorruptFileError("the weights do not fit the model", source=source, got=problems[0] + more)
    module.load_state_dict(dict(state), strict=True)


def _check_spec(spec: SequenceSpec, saved: Any, folder: Path) -> None:
    now = json.loads(json.dumps(dataclasses.asdict(spec)))
    saved = saved if isinstance(saved, dict) else {}
    # a field that is younger than the model has its default there
    saved = {f.name: [] for f in dataclasses.fields(spec) if f.default == ()} | saved
    for field, value in now.items():
        if saved.get(field) != value:
            raise InputError(
                "the modality now makes other patches than the model was trained on", source=folder / _CONFIG,
                field=f"spec.{field}", got=value, expected=saved.get(field),
                fix="install the version of the modality that the model was made with",
            )  # fmt: skip


def _with_defaults(options: Mapping[str, Any]) -> dict[str, Any]:
    """Encoder options with the defaults of today, so that later defaults cannot change a saved model."""
    defaults = describe("encoder")[str(options["name"])]
    return {**{k: v for k, v in defaults.items() if v is not inspect.Parameter.empty}, **options}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise damaged(path, error) from error
    if not isinstance(content, dict):
        raise CorruptFileError("expected a JSON object", source=path, got=type(content).__name__)
    return content
