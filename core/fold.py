"""One fold of a run: pretraining on its side of the split, then all rows of the result table on its test side.

Folds know nothing of each other, nor do the rows of one model of another's: they are worked on one after the other
in the process of the run, or several at once in processes of their own (`fold_workers`). Nothing here writes outside
of the fold's own folder.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .console import Voice
from .errors import InputError
from .prepared import Prepared
from .settings import Settings
from .train.model_card import pretraining_data

if TYPE_CHECKING:
    from .blocks.encoder import Encoder
    from .data.splits import Split
    from .downstream.fewer_sensors import FewerSensors
    from .downstream.rows import Evaluation
    from .train.alignment_io import Words
    from .train.model_io import Model
    from .trained import Trained


@dataclass(frozen=True)
class Piece:
    """What is worked on at once: a fold, or its rows of some models, () = all of it."""

    fold: int
    models: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"the rows of {', '.join(self.models)} of fold {self.fold}" if self.models else f"fold {self.fold}"


@dataclass(eq=False)
class FoldDone:
    """What a run needs of a fold beside its files; travels between processes.

    evaluation: its rows and what they were computed from, None where only pretraining was asked for.
    pretrain_s: of all its seeds, over all resumes. zero_shots: entries of `zero_shot.json`.
    """

    evaluation: Evaluation | None = None
    pretrain_s: float = 0.0
    downstream_s: float = 0.0
    zero_shots: list[dict[str, Any]] = field(default_factory=list)


class FoldWork:
    """The work of any fold of a run.

    settings: with the modality fitted to the data. folder: of the run. resume: continue pretraining where it stopped.
    """

    def __init__(
        self, settings: Settings, prepared: Prepared, folder: Path, voice: Voice, resume: bool = False
    ) -> None:
        self.settings, self.prepared, self.folder, self.voice = settings, prepared, folder, voice
        self.recipe, self.resume = settings.recipe, resume
        self.source: Path | None = None  # of `use`
        self.pretrained_on = pretraining_data(settings.recipe)
        self.words: dict[int, Words] = {}  # fold -> what its encoder learned to say about signals
        self.all_unseen = False  # the encoder was trained on other data sets only
        self.encoders: dict[int, Encoder] | None = None  # of an earlier run, by fold

    def use(self, trained: Trained) -> None:
        """Evaluate the encoders of an earlier run instead of pretraining. Raises InputError when a fold has none."""
        splits = self.prepared.splits
        self.source, self.pretrained_on = trained.source, pretraining_data(trained.models[0].recipe)
        self.encoders = {split.fold: trained.model(split, len(splits)).encoder for split in splits}
        if self.recipe.evaluate.zero_shot:
            self.all_unseen = not trained.may_know(self.prepared.sources.name)
            self.words = {split.fold: trained.words(split, len(splits)) for split in splits}

    def work(self, split: Split, *, evaluates: bool = True, models: tuple[str, ...] = ()) -> FoldDone:
        """Everything for one split; `evaluates` = False leaves out what follows pretraining. models: in the rows, () =
        all that the recipe asks for; without a pretrained one among them nothing is pretrained."""
        done, encoder, further = FoldDone(), None, dict[int, "Encoder"]()
        if self.encoders is not None:
            encoder = self.encoders[split.fold]
        elif not models or "pretrained" in models:
            encoder = self._pretrained(split, done)
            further = self._further_seeds(split, done) if evaluates else {}
        if evaluates:
            done.evaluation = self._evaluated(split, encoder, further, done, models)
        return done

    def folder_of(self, split: Split, seed: int | None = None) -> Path:
        """Where the model of a split lies, or that of a further seed."""
        folder = self.folder if len(self.prepared.splits) == 1 else self.folder / "folds" / str(split.fold)
        return folder if seed in (None, self.recipe.seed) else folder / "seeds" / str(seed)

    # ---- pretraining ----------------------------------------------------------------------------------------------

    def _pretrained(self, split: Split, done: FoldDone, seed: int | None = None) -> Encoder:
        """Pretrain on the split's pretraining side and save the model. seed: default, that of the run."""
        from .distributed import is_main_process
        from .train.corpus import Origin
        from .train.model_io import save_model
        from .train.passes import shortening, within_passes
        from .train.pretrain import pretrain as train
        from .train.targets_io import save_targets

        store, folder = self.prepared.store, self.folder_of(split, seed)
        recipe = self.recipe if seed is None else replace(self.recipe, seed=seed)
        windows = split.windows(store, "pretrain")
        told = f"{recipe.objective['name']} on {len(windows)} windows" + ("" if seed is None else f", seed {seed}")
        self.voice.step(f"pretraining {told}")
        asked, recipe = recipe, within_passes(recipe, len(windows))
        if shorter := shortening(asked, recipe, len(windows)):
            self.voice.step(shorter)
        with self.voice.training("pretrain") as progress:
            trained = train(
                recipe, self.settings.modality, store, windows, folder, self.resume,
                split.windows(store, "validation"), progress,
                Origin(self.prepared.sources.sources, lambda source: self._earlier(source, split)),
            )  # fmt: skip
        if not is_main_process():
            raise SystemExit(0)  # further processes only train
        done.pretrain_s += trained.seconds
        card = {"split": f"{split.kind} by {split.group}", **({"note": split.stamp} if split.stamp else {})}
        save_model(folder / "model", trained.encoder, self.settings.modality, recipe, card)
        save_targets(folder / "model", trained.targets)
        if trained.alignment is not None:
            from .train.alignment_io import Words, count_pairs, save_words

            self.words[split.fold] = Words(trained.alignment, *count_pairs(store, windows, self.prepared.sources))
            save_words(folder / "model", self.words[split.fold])
        return trained.encoder

    def _further_seeds(self, split: Split, done: FoldDone) -> dict[int, Encoder]:
        """Encoders of the other seeds that `evaluate.seeds` asks for, where nothing but pretraining is drawn: a ranking
        is read from the pretrained encoder itself, so a seed is a training of its own."""
        from .data.questions import ranks

        if not ranks(self.prepared.store):
            return {}
        first = self.recipe.seed
        seeds = range(first + 1, first + self.recipe.evaluate.seeds)
        return {seed: self._pretrained(split, done, seed) for seed in seeds}

    def _earlier(self, source: str, split: Split) -> Model:
        """The model of an earlier run that a target learns from. What it knows of test subjects it would pass on."""
        from .trained import load_trained

        trained, splits = load_trained(source), self.prepared.splits
        known = trained.stamps(splits, self.prepared.sources.name)
        if known and not split.pretrain_on_test:
            raise InputError(
                "this run must not be learned from", source=source, got=known[0],
                expected="a run folder with the same split",
                fix="or pretrain on test subjects by name: --split.pretrain_on_test true",
            )  # fmt: skip
        return trained.model(split, len(splits))

    # ---- downstream -----------------------------------------------------------------------------------------------

    def _evaluated(
        self,
        split: Split,
        encoder: Encoder | None,
        further: Mapping[int, Encoder],
        done: FoldDone,
        models: tuple[str, ...],
    ) -> Evaluation:
        """Downstream rows of one split. encoder: None where no row asks for it. further: of other seeds."""
        from .downstream.covariates import Covariates
        from .downstream.evaluate import evaluate as rows
        from .downstream.served_classifier import FOLDER
        from .train.model_io import fresh_encoder
        from .train.passes import within_passes

        began, store = time.perf_counter(), self.prepared.store
        known = self.settings.modality.known_of_ids()
        recipe = within_passes(self.recipe, len(split.windows(store, "pretrain")))
        if models:
            recipe = replace(recipe, evaluate=replace(recipe.evaluate, models=models))
        found = rows(
            recipe, self.settings.modality, store, split, encoder,
            lambda seed: fresh_encoder(self.recipe.encoder, store.spec, seed, known), self.voice.step,
            self._fewer_sensors(split), Covariates.of(self.prepared.sources, store.records), further,
        )  # fmt: skip
        for classifier in found.served:
            told = replace(classifier, labels_of=self.prepared.sources.name)
            told.save(self.folder_of(split) / FOLDER, self.settings.modality, self.recipe, self.pretrained_on)
        found.served.clear()  # files, not the process of the run, keep what is large
        if encoder is not None and (not models or "pretrained" in models):
            found.notes.extend(self._zero_shot(split, encoder, done))
        done.downstream_s += time.perf_counter() - began
        return found

    def _fewer_sensors(self, split: Split) -> list[FewerSensors]:
        """The test records without some of their sensors, where the recipe asks for it."""
        from .downstream.fewer_sensors import without_sensors

        asked = self.recipe.evaluate.drop_sensors
        if not asked:
            return []
        self.voice.step(f"reading test records without {', '.join(map(str, asked))} of their sensors")
        return without_sensors(self.recipe, self.settings.modality, self.prepared.sources, self.prepared.store, split)

    def _zero_shot(self, split: Split, encoder: Encoder, done: FoldDone) -> list[str]:
        """Classes by prompts, where the recipe asks for it: kept for the run's own file, and said in words.

        No label is used to learn them, so all records are test records when the encoder saw none of them.
        """
        import numpy as np

        from .downstream.prompts import find_prompts
        from .downstream.zero_shot import score_zero_shot, sentences, zero_shot

        recipe, store, said = self.recipe, self.prepared.store, []
        every = self.all_unseen and len(self.prepared.splits) == 1
        windows = np.arange(len(store)) if every else split.windows(store, "test")
        for name in recipe.evaluate.zero_shot:
            self.voice.step(f"zero-shot: {name}")
            words, prompts = self.words[split.fold], find_prompts(name, self.settings.modality.prompts())
            probability, records = zero_shot(
                encoder, words.alignment, prompts, store, windows, recipe.evaluate.batch_size, recipe.trainer.precision,
            )  # fmt: skip
            found = score_zero_shot(probability, records, prompts, store, recipe.evaluate.bootstrap, recipe.seed)
            done.zero_shots += [{**one.to_json(), "fold": split.fold} for one in found]
            said += sentences(found, words.pairs, words.generated)
        return said
