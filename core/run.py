"""One function a recipe verb: data -> pretraining -> downstream evaluation -> results and report.

Every function takes checked `Settings` and `Options`, works inside one locked run folder and returns it. With k
folds, pretraining is repeated a fold (`fold`), because the test subjects of a fold must not be pretrained on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .console import Voice
from .errors import InputError
from .fold import FoldDone, FoldWork, Piece
from .prepared import prepare
from .run_folder import run_folder, versions, write_json
from .settings import Settings

if TYPE_CHECKING:
    from .data.splits import Split
    from .downstream.rows import Evaluation


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
        pipeline.folds(evaluates=False)
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
        self.options, self.folder = options, folder
        self.recipe, self.voice = settings.recipe, options.voice
        self.start = time.perf_counter()
        self.seconds = {"pretrain": 0.0, "downstream": 0.0, "total": 0.0}
        self.at_once = 1  # folds
        self.zero_shots: list[dict[str, Any]] = []
        self.prepared = prepare(settings, self.voice)
        self.settings = replace(settings, modality=self.prepared.modality)
        self.work = FoldWork(self.settings, self.prepared, folder, self.voice, options.resume)
        write_json(folder / "split.json", _split_json(self.prepared.splits))

    def everything(self) -> Path:
        self.refuse_unlabelled()
        self.finish(self.folds(evaluates=True))
        return self.folder

    def folds(self, *, evaluates: bool) -> list[Evaluation]:
        """The work of all folds, several at once where `trainer.folds_at_once` says so; evaluations in their order.

        Seconds are added up over the folds, also over those that went on at the same time.
        """
        from .fold_workers import fold_pieces, folds_at_once, work_at_once

        splits = self.prepared.splits
        self.at_once = folds_at_once(self.recipe.trainer, len(splits))
        if self.at_once > 1:
            pieces = fold_pieces(self.work, self.at_once) if evaluates else [Piece(split.fold) for split in splits]
            parts = list(zip(pieces, work_at_once(self.work, pieces, self.at_once, evaluates=evaluates), strict=True))
            done = [self.whole([part for piece, part in parts if piece.fold == split.fold]) for split in splits]
        elif evaluates and len(splits) == 1:
            done = [self.one_fold(splits[0])]
        else:
            done = [self.work.work(split, evaluates=evaluates) for split in splits]
        self.seconds["pretrain"] = sum(one.pretrain_s for one in done)
        self.seconds["downstream"] = sum(one.downstream_s for one in done)
        self.zero_shots = [entry for one in done for entry in one.zero_shots]
        return [one.evaluation for one in done if one.evaluation is not None]

    def one_fold(self, split: Split) -> FoldDone:
        """A fold that is worked on alone: pretraining has all threads, rows go on in two processes where that pays."""
        from .fold_workers import row_pieces, work_at_once
        from .trained import load_trained

        pieces = row_pieces(self.work)
        if not pieces:
            return self.work.work(split)
        before = self.work.work(split, evaluates=False)
        if self.work.source is None:
            self.work.use(load_trained(self.folder))  # as every process gets it
        return self.whole([before, *work_at_once(self.work, pieces, len(pieces), evaluates=True)])

    def whole(self, parts: list[FoldDone]) -> FoldDone:
        """What was made of one fold in pieces."""
        from .downstream.rows import join

        rows = [part.evaluation for part in parts if part.evaluation is not None]
        return FoldDone(
            join(rows, self.recipe.evaluate.models) if len(rows) > 1 else rows[0] if rows else None,
            sum(part.pretrain_s for part in parts), sum(part.downstream_s for part in parts),
            [entry for part in parts for entry in part.zero_shots],
        )  # fmt: skip

    def refuse_unlabelled(self) -> None:
        """Before hours of pretraining, not after."""
        task, source = self.prepared.store.task, self.prepared.sources.name
        if task is None:
            fix = "label them in a manifest, or use `omnipatch pretrain`"
            raise InputError("there are no labels to evaluate on", source=source, fix=fix)
        if len(task.classes) == 1:  # none where a number or an order is asked for
            fix = "label two kinds or more, or use `omnipatch pretrain`"
            raise InputError("all labels are the same, so there is nothing to tell apart", source=source,
                             field="label", got=task.classes[0], fix=fix)  # fmt: skip
        self.prepared.store.items()

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
        self.seconds["total"] = self.seconds["pretrain"] / self.at_once + time.perf_counter() - self.start
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
                folder = self.work.folder_of(split, seed) / "model"
                if folder.is_dir():  # what is evaluated again has its model elsewhere
                    blend.save(folder)

    def results(self, rows: list[dict[str, Any]], summary: list[dict[str, Any]]) -> dict[str, Any]:
        """Content of `results.json` (its format is fixed)."""
        from .report.words import TWO_STEPS

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
            **({"notes": [TWO_STEPS]} if self.options.fast_dev_run else {}),
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
        pipeline.work.use(trained)
        pipeline.finish(pipeline.folds(evaluates=True), trained.stamps(splits, pipeline.prepared.sources.name))
        return folder


def _refuse_early(settings: Settings, *, evaluates: bool) -> None:
    """Find what is wrong with data and rows before a folder is made or an old run deleted."""
    from .data.sources import resolve_sources
    from .downstream.evaluate import check_protocols, wanted_rows
    from .downstream.fewer_sensors import check_drop_sensors
    from .downstream.longer import check_decisions
    from .downstream.prompts import check_zero_shot
    from .fold_workers import check_folds_at_once

    check_folds_at_once(settings.recipe.trainer)
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
