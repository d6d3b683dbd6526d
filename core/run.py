"""One function a recipe verb: data -> pretraining -> downstream evaluation -> results and report.

Every function takes checked `Settings` and `Options`, works inside one locked run folder and returns it. With k
folds, pretraining is repeated a fold, because the test subjects of a fold must not be pretrained on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .console import Voice
from .errors import InputError
from .prepared import prepare
from .run_folder import run_folder, versions, write_json
from .settings import Settings

if TYPE_CHECKING:
    from .blocks.encoder import Encoder
    from .data.splits import Split
    from .downstream.fewer_sensors import FewerSensors
    from .downstream.rows import Evaluation
    from .train.alignment_io import Words
    from .train.model_io import Model


@dataclass(frozen=True)
class Options:
    """What the command line says beside the recipe. `source`: the run or model folder of `--from`."""

    out: str | None = None
    source: str | None = None
    resume: bool = False
    overwrite: bool = False
    fast_dev_run: bool = False
    voice: Voice = field(default_factory=Voice)


# ---- verbs ----------------------------------------------------------------------------------------------------


def run(settings: Settings, options: Options) -> Path:
    """Pretrain, evaluate and report."""
    settings = _shortened(settings, options)
    _refuse_early(settings, evaluates=True)
    with _folder(settings, options) as folder:
        return _Pipeline(settings, options, folder).everything()


def pretrain(settings: Settings, options: Options) -> Path:
    """Pretrain only; leaves `model/`."""
    settings = _shortened(settings, options)
    _refuse_early(settings, evaluates=False)
    with _folder(settings, options) as folder:
        pipeline = _Pipeline(settings, options, folder)
        for split in pipeline.prepared.splits:
            pipeline.pretrained(split)
        pipeline.finish_pretraining()
        return folder


def evaluate(settings: Settings, options: Options) -> Path:
    """All rows of the result table for an encoder that was pretrained before."""
    return _downstream(settings, options, "evaluate")


def finetune(settings: Settings, options: Options) -> Path:
    """Fine-tune a pretrained encoder, beside the same network trained from scratch."""
    protocols = replace(settings.recipe.evaluate, protocols=("finetune",))
    settings = replace(settings, recipe=replace(settings.recipe, evaluate=protocols))
    return _downstream(settings, options, "finetune")


# ---- the pipeline ---------------------------------------------------------------------------------------------


class _Pipeline:
    """One run in its folder."""

    def __init__(self, settings: Settings, options: Options, folder: Path) -> None:
        self.settings, self.options, self.folder = settings, options, folder
        self.recipe, self.voice = settings.recipe, options.voice
        self.start = time.perf_counter()
        self.seconds = {"pretrain": 0.0, "downstream": 0.0, "total": 0.0}
        self.words: dict[int, Words] = {}  # fold -> what its encoder learned to say about signals
        self.all_unseen = False  # the encoder was trained on other data sets only
        self.zero_shots: list[dict[str, Any]] = []
        self.prepared = prepare(settings, self.voice)
        self.settings = replace(settings, modality=self.prepared.modality)
        write_json(folder / "split.json", _split_json(self.prepared.splits))

    def everything(self) -> Path:
        self.refuse_unlabelled()
        evaluations = [
            self.evaluated(split, self.pretrained(split), self.further_seeds(split)) for split in self.prepared.splits
        ]
        self.finish(evaluations)
        return self.folder

    def refuse_unlabelled(self) -> None:
        """Before hours of pretraining, not after."""
        if self.prepared.store.task is None:
            fix = "label them in a manifest, or use `omnipatch pretrain`"
            raise InputError("there are no labels to evaluate on", source=self.prepared.sources.name, fix=fix)
        self.prepared.store.items()

    def further_seeds(self, split: Split) -> dict[int, Encoder]:
        """Encoders of the other seeds that `evaluate.seeds` asks for, where nothing but pretraining is drawn: a ranking
        is read from the pretrained encoder itself, so a seed is a training of its own."""
        from .data.questions import ranks

        if not ranks(self.prepared.store):
            return {}
        first = self.recipe.seed
        return {seed: self.pretrained(split, seed) for seed in range(first + 1, first + self.recipe.evaluate.seeds)}

    def pretrained(self, split: Split, seed: int | None = None) -> Encoder:
        """Pretrain on the split's pretraining side and save the model. seed: default, that of the run."""
        from .distributed import is_main_process
        from .train.corpus import Origin
        from .train.model_io import save_model
        from .train.passes import shortening, within_passes
        from .train.pretrain import pretrain as train

        store, folder = self.prepared.store, self._folder_of(split, seed)
        recipe = self.recipe if seed is None else replace(self.recipe, seed=seed)
        windows = split.windows(store, "pretrain")
        told = f"{recipe.objective['name']} on {len(windows)} windows" + ("" if seed is None else f", seed {seed}")
        self.voice.step(f"pretraining {told}")
        asked, recipe = recipe, within_passes(recipe, len(windows))
        if shorter := shortening(asked, recipe, len(windows)):
            self.voice.step(shorter)
        with self.voice.training("pretrain") as progress:
            done = train(
                recipe, self.settings.modality, store, windows, folder, self.options.resume,
                split.windows(store, "validation"), progress,
                Origin(self.prepared.sources.sources, lambda source: self._earlier(source, split)),
            )  # fmt: skip
        if not is_main_process():
            raise SystemExit(0)  # further processes only train
        self.seconds["pretrain"] += done.seconds
        card = {"split": f"{split.kind} by {split.group}", **({"note": split.stamp} if split.stamp else {})}
        save_model(folder / "model", done.encoder, self.settings.modality, recipe, card)
        if done.alignment is not None:
            from .train.alignment_io import Words, count_pairs, save_words

            self.words[split.fold] = Words(done.alignment, *count_pairs(store, windows, self.prepared.sources))
            save_words(folder / "model", self.words[split.fold])
        return done.encoder

    def _folder_of(self, split: Split, seed: int | None = None) -> Path:
        """Where the model of a split lies, or that of a further seed."""
        folder = self.folder if len(self.prepared.splits) == 1 else self.folder / "folds" / str(split.fold)
        return folder if seed in (None, self.recipe.seed) else folder / "seeds" / str(seed)

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

    def evaluated(self, split: Split, encoder: Encoder, further: Mapping[int, Encoder] | None = None) -> Evaluation:
        """All downstream rows of one split. further: encoders of other seeds."""
        from .downstream.covariates import Covariates
        from .downstream.evaluate import evaluate as rows
        from .train.model_io import fresh_encoder
        from .train.passes import within_passes

        began, store = time.perf_counter(), self.prepared.store
        known = self.settings.modality.known_of_ids()
        recipe = within_passes(self.recipe, len(split.windows(store, "pretrain")))
        found = rows(
            recipe, self.settings.modality, store, split, encoder,
            lambda seed: fresh_encoder(self.recipe.encoder, store.spec, seed, known), self.voice.step,
            self._fewer_sensors(split), Covariates.of(self.prepared.sources, store.records), further or {},
        )  # fmt: skip
        found.notes.extend(self._zero_shot(split, encoder))
        self.seconds["downstream"] += time.perf_counter() - began
        return found

    def _fewer_sensors(self, split: Split) -> list[FewerSensors]:
        """The test records without some of their sensors, where the recipe asks for it."""
        from .downstream.fewer_sensors import without_sensors

        asked = self.recipe.evaluate.drop_sensors
        if not asked:
            return []
        self.voice.step(f"reading test records without {', '.join(map(str, asked))} of their sensors")
        return without_sensors(self.recipe, self.settings.modality, self.prepared.sources, self.prepared.store, split)

    def _zero_shot(self, split: Split, encoder: Encoder) -> list[str]:
        """Classes by prompts, where the recipe asks for it: kept for `finish`, and said in words.

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
            self.zero_shots += [{**one.to_json(), "fold": split.fold} for one in found]
            said += sentences(found, words.pairs, words.generated)
        return said

    def finish_pretraining(self) -> None:
        """The report of a run that ends here: curves, a window, the data."""
        from .report import collect, write_report

        self.seconds["total"] = time.perf_counter() - self.start
        collect(self.folder, self.settings, self.prepared, self.results([], []))
        write_report(self.folder)

    def finish(self, evaluations: list[Evaluation], stamps: list[str] | None = None) -> None:
        """Results, report and the table on screen."""
        from .downstream.further import further_results
        from .downstream.predictions import Predictions
        from .downstream.rows import merge
        from .downstream.summary import summarise_all
        from .report import collect, write_report

        evaluation = merge(evaluations)
        summary, differences = summarise_all(evaluation, self.recipe.evaluate.bootstrap, self.recipe.seed)
        self.seconds["total"] = self.seconds["pretrain"] + time.perf_counter() - self.start
        if not self.options.resume:  # training time of earlier starts is in `pretrain` alone
            self.seconds["total"] = time.perf_counter() - self.start
        results = self.results([row.to_json() for row in evaluation.rows], summary)
        results |= further_results(evaluation, self.recipe.evaluate, self.recipe.seed)
        write_json(self.folder / "results.json", results)
        task = self.prepared.store.task
        Predictions(evaluation, results["dataset"], task.name if task else "").save(self.folder)
        self._keep_blends(evaluation)
        if self.zero_shots:
            write_json(self.folder / "zero_shot.json", self.zero_shots)
        collect(self.folder, self.settings, self.prepared, results, evaluation, differences, stamps or [])
        write_report(self.folder)
        stamp = self.settings.modality.stamp
        slips = [sentence.rstrip(".") for leaks in self.prepared.leaks for sentence in leaks.sentences]
        say_results(results, differences, self.voice, [*([stamp] if stamp else []), *slips, *evaluation.notes])

    def _keep_blends(self, evaluation: Evaluation) -> None:
        """What validation chose to rank with, beside the model that it was chosen for."""
        from .downstream.served import ServedBlend

        for split in self.prepared.splits if evaluation.ranked else ():
            metric = self.settings.modality.ranking().metric
            for seed, blend in ServedBlend.of(evaluation, metric, split.fold).items():
                folder = self._folder_of(split, seed) / "model"
                if folder.is_dir():  # what is evaluated again has its model elsewhere
                    blend.save(folder)

    def results(self, rows: list[dict[str, Any]], summary: list[dict[str, Any]]) -> dict[str, Any]:
        """Content of `results.json` (its format is fixed)."""
        splits, recipe = self.prepared.splits, self.recipe
        return {
            "recipe": recipe.name,
            "modality": recipe.modality["name"],
            "objective": recipe.objective["name"],
            "dataset": self.prepared.sources.name,
            "split": {"kind": splits[0].kind, "group": splits[0].group, "folds": len(splits)},
            "rows": rows,
            "summary": summary,
            "seconds": {name: round(value, 2) for name, value in self.seconds.items()},
            "versions": versions(),
            **({"leaks": [leaks.to_json() for leaks in self.prepared.leaks]} if self.prepared.leaks else {}),
        }


def _downstream(settings: Settings, options: Options, verb: str) -> Path:
    from .trained import load_trained

    if options.source is None:
        raise InputError(f"{verb} needs a pretrained encoder", fix="add --from RUN")
    trained = load_trained(options.source)
    settings = _shortened(trained.settings(settings), options)
    _refuse_early(settings, evaluates=True)
    with _folder(settings, options, verb) as folder:
        pipeline = _Pipeline(settings, options, folder)
        pipeline.refuse_unlabelled()
        splits = pipeline.prepared.splits
        models = [trained.model(split, len(splits)) for split in splits]
        if pipeline.recipe.evaluate.zero_shot:
            pipeline.all_unseen = not trained.may_know(pipeline.prepared.sources.name)
            pipeline.words = {split.fold: trained.words(split, len(splits)) for split in splits}
        evaluations = [pipeline.evaluated(split, m.encoder) for split, m in zip(splits, models, strict=True)]
        pipeline.finish(evaluations, trained.stamps(splits, pipeline.prepared.sources.name))
        return folder


def _refuse_early(settings: Settings, *, evaluates: bool) -> None:
    """Find what is wrong with data and rows before a folder is made or an old run deleted."""
    from .data.sources import resolve_sources
    from .downstream.evaluate import check_protocols, wanted_rows
    from .downstream.fewer_sensors import check_drop_sensors
    from .downstream.longer import check_decisions
    from .downstream.prompts import check_zero_shot

    sources = resolve_sources(settings.modality, settings.recipe.data)
    if evaluates:
        check_protocols(settings.recipe, sources.task)
        wanted_rows(settings.recipe)
        check_drop_sensors(settings.recipe)
        check_decisions(settings.recipe)
        check_zero_shot(settings.recipe, settings.modality.prompts())


def _folder(settings: Settings, options: Options, verb: str = ""):
    return run_folder(settings.recipe, options.out, resume=options.resume, overwrite=options.overwrite, verb=verb)


def _split_json(splits: list[Split]) -> dict[str, Any]:
    return {"kind": splits[0].kind, "group": splits[0].group, "folds": [split.to_json() for split in splits]}


def _shortened(settings: Settings, options: Options) -> Settings:
    """`--fast-dev-run`: two steps of everything."""
    if not options.fast_dev_run:
        return settings
    r = settings.recipe
    short = replace(
        r,
        name=f"{r.name}-fast-dev-run",
        trainer=replace(r.trainer, max_steps=2, log_every=1, monitor_every=1, batch_size=min(8, r.trainer.batch_size)),
        probe=replace(r.probe, attentive_steps=2),
        finetune=replace(r.finetune, steps=2, batch_size=8, eval_every=1),
        evaluate=replace(r.evaluate, seeds=1, bootstrap=20),
    )
    return replace(settings, recipe=short)


def say_results(results: dict[str, Any], differences: list[dict[str, Any]], voice: Voice, notes: Sequence[str]) -> None:
    """The result table, the verdict and what to keep in mind, on stdout."""
    from .report.further import further_tables
    from .report.words import headline, layer_weights, metric_label, primary_metric, shown_lines, subject_leak

    metric = primary_metric(results)
    known = {e["metric"] for e in results["summary"]}
    columns = list(dict.fromkeys(m for m in (metric, "auroc", "balanced_accuracy") if m in known))
    voice.table(["model", "protocol", "labels", *map(metric_label, columns)], shown_lines(results, columns))
    for title, head, rows in further_tables(results, columns):
        voice.result(title)
        voice.table(head, rows)
    for sentence in (layer_weights(results), subject_leak(results)):
        if sentence:
            voice.result(f"{sentence}.")
    voice.result(headline(results, differences).plain)
    for note in notes:
        voice.result(f"Note: {note}.")


Verb = Callable[[Settings, Options], Path]
VERBS: dict[str, Verb] = {"run": run, "pretrain": pretrain, "finetune": finetune, "evaluate": evaluate}
