"""The folder `targets/` of a model: what was learned before training to say what is predicted (codebooks).

    NAME/...    what the target of that name keeps, in a form of its own

A model folder without it predicted nothing that has to be learned.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..blocks.targets import TargetProvider
from ..errors import InputError
from ..objective import Objective
from .model_io import Model

FOLDER = "targets"


def save_targets(model_folder: Path | str, targets: Mapping[str, TargetProvider]) -> None:
    """Write `targets/` into a model folder, where a target has something to keep."""
    for name, target in targets.items():
        target.keep(Path(model_folder) / FOLDER / name)


def load_code_target(source: Path | str, model: Model) -> TargetProvider:
    """The first target that keeps codebooks in a model folder, or in the `model/` of a run folder; `model` is what was
    loaded from there. Raises InputError when the model predicted no codes, or the folder does not keep them."""
    folder = Path(source) / "model" if (Path(source) / "model").is_dir() else Path(source)
    kept = sorted(path for path in (folder / FOLDER).glob("*") if path.is_dir())
    if not kept:
        raise InputError(
            "the model keeps no codebooks", source=folder, expected="a model that was trained to predict codes",
            fix="pretrain with an objective whose targets are codes (such as speech-mvq)",
        )  # fmt: skip
    objective = Objective.from_config(model.recipe.objective, model.modality.spec, model.encoder)
    if kept[0].name not in objective.targets:
        raise InputError("the model has no such target", source=kept[0], expected=", ".join(objective.targets))
    target = objective.targets[kept[0].name]
    assert isinstance(target, TargetProvider)
    target.restore(kept[0])
    return target
