"""What `--from` names: an encoder trained before, how it reads files, and the subjects it was trained on.

A run with k folds holds one encoder a fold; it stands for all of them only where the same folds are evaluated, so
that no encoder meets its own training subjects.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InputError, damaged
from .settings import NAMED_SECTIONS, Settings, build_modality, parse_overrides

if TYPE_CHECKING:
    from .data.splits import Split
    from .modality import Modality
    from .train.alignment_io import Words
    from .train.model_io import Model


@dataclass(frozen=True)
class Trained:
    """models: one, or one a fold. splits: the fold entries of the run's `split.json`, None when it is not known."""

    source: Path
    models: tuple[Model, ...]
    splits: tuple[dict[str, Any], ...] | None

    def settings(self, settings: Settings) -> Settings:
        """The recipe with the modality, encoder and objective of the weights; they cannot be chosen again.

        How files are read (`Modality.reading_options`: names of channels, which of them) is not part of what was
        learned: where the recipe says it, it holds, else it is as in training.
        """
        trained, asked = self.models[0].recipe, settings.recipe
        if asked.modality["name"] != trained.modality["name"]:
            raise InputError(
                "the encoder was trained on another modality", source=self.source, field="modality.name",
                got=asked.modality["name"], expected=trained.modality["name"],
            )  # fmt: skip
        config, usual = settings.modality.config, type(settings.modality.config)()
        said = {
            name: asked.modality[name]
            for name in settings.modality.reading_options
            if getattr(config, name) != getattr(usual, name)
        }
        modality = {**trained.modality, **said}
        # steps are those that the weights have seen, on whatever data: a control may be trained for as many
        steps = replace(asked.trainer, max_steps=trained.trainer.max_steps, max_passes=0.0)
        recipe = replace(
            asked, modality=modality, encoder=trained.encoder, objective=trained.objective, trainer=steps
        )  # fmt: skip
        built = build_modality(recipe.modality).restored(self.models[0].modality.learned())
        return Settings(recipe, built, settings.source)

    def model(self, split: Split, folds: int) -> Model:
        """The model to evaluate on a split out of so many."""
        if len(self.models) == 1:
            return self.models[0]
        if len(self.models) != folds:
            raise InputError(
                "the run has one encoder a fold", source=self.source, got=f"{len(self.models)} folds",
                expected=f"{folds} here", fix=f"evaluate the same folds, or name one with --from {self.source}/folds/0",
            )  # fmt: skip
        return self.models[split.fold]

    def words(self, split: Split, folds: int) -> Words:
        """What the model for a split has learned to say about signals; raises InputError when it has not."""
        from .train.alignment_io import load_words

        alone = len(self.models) == 1 and not (self.source / "folds").is_dir()
        folder = self.source if alone else self.source / "folds" / str(split.fold if len(self.models) > 1 else 0)
        return load_words(folder, self.model(split, folds))

    def may_know(self, dataset: str) -> bool:
        """Whether the encoder may have been trained on records of a data set; other sets hold other people, even
        where they bear the same names."""
        data = self.models[0].recipe.data
        return dataset in (data.meant, *data.pretrain_with) or "manifest" in (dataset, data.meant)

    def stamps(self, splits: list[Split], dataset: str) -> list[str]:
        """What must be said when the encoder was pretrained on test subjects of this evaluation on `dataset`."""
        if dataset in self.models[0].recipe.data.pretrain_with:
            return [f"the encoder was pretrained on the signals of {dataset}, test subjects included"]
        if not self.may_know(dataset):
            return []
        if self.splits is None:
            return ["it is not known which subjects the encoder was pretrained on"]
        found = []
        for split in splits:
            before = self.splits[split.fold if len(self.splits) == len(splits) else 0]
            sides = ("train", "validation", "test") if before["pretrain_on_test"] else ("train", "validation")
            shared = {name for side in sides for name in before[side]} & split.test
            if shared and before["group"] == split.group:
                found.append(
                    f"the encoder was pretrained on the signals of {len(shared)} of {len(split.test)} test "
                    f"{split.group}s"
                )
        return found


def refuse_other_model(overrides: Sequence[str], modality: Modality) -> None:
    """Weights bring their own modality, encoder and objective: an override of those would be without effect. How files
    are read (`Modality.reading_options`) may be said anew. Raises InputError."""
    for key, place in parse_overrides(overrides).places.items():
        section, _, name = key.partition(".")
        if section in NAMED_SECTIONS and not (section == "modality" and name in modality.reading_options):
            raise InputError(
                f"{section} is that of the weights and cannot be changed", source=place,
                expected=", ".join(f"modality.{name}" for name in modality.reading_options) or None,
                fix="leave it out, or pretrain",
            )  # fmt: skip


def modality_for_files(model: Model, overrides: Sequence[str]) -> Modality:
    """The modality of a model, with what `--modality.KEY VALUE` says of how files are read.

    Raises InputError for any other key.
    """
    refuse_other_model(overrides, model.modality)
    located = parse_overrides(overrides)
    for key, place in located.places.items():
        if not key.startswith("modality."):
            raise InputError("files are read without a recipe", source=place, fix="leave it out")
    built = build_modality({**model.recipe.modality, **located.data.get("modality", {})}, located)
    return built.restored(model.modality.learned())


def load_trained(source: str | Path) -> Trained:
    """Read the model or models of a run folder, of one of its folds, or a model folder.

    Raises InputError when there is none, CorruptFileError when a file of it is damaged.
    """
    from .train.model_io import load_model, of_folds

    source = Path(source)
    folds = of_folds(source, "model")
    if (source / "model").is_dir() or not folds:
        return Trained(source, (load_model(source),), _splits(source))
    return Trained(source, tuple(load_model(path) for path in folds), _splits(source))


def _splits(source: Path) -> tuple[dict[str, Any], ...] | None:
    path, fold = source / "split.json", None
    if source.parent.name == "folds":
        path, fold = source.parent.parent / "split.json", int(source.name)
    if not path.is_file():
        return None
    try:
        entries = tuple(json.loads(path.read_text(encoding="utf-8"))["folds"])
        return entries if fold is None else (entries[fold],)
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise damaged(path, error) from error
