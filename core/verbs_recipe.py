"""Verbs that take a recipe: run, pretrain, finetune, evaluate, and their looks without work (print-config, dry-run)."""

from __future__ import annotations

import argparse

from .console import Voice
from .settings import Settings, load, to_yaml


def run(given: argparse.Namespace, overrides: list[str]) -> None:
    _start("run", given, overrides)


def pretrain(given: argparse.Namespace, overrides: list[str]) -> None:
    _start("pretrain", given, overrides)


def finetune(given: argparse.Namespace, overrides: list[str]) -> None:
    _start("finetune", given, overrides)


def evaluate(given: argparse.Namespace, overrides: list[str]) -> None:
    _start("evaluate", given, overrides)


def _start(verb: str, given: argparse.Namespace, overrides: list[str]) -> None:
    settings: Settings = load(given.recipe, overrides)
    if verb in ("finetune", "evaluate"):
        from .trained import refuse_other_model

        refuse_other_model(overrides, settings.modality)
    if given.print_config:
        print(to_yaml(settings.recipe), end="")
        return
    voice = Voice(given.quiet)
    if given.dry_run:
        from .dry_run import dry_run

        dry_run(settings, voice)
        return
    from .run import VERBS, Options

    options = Options(
        out=given.out, source=getattr(given, "source", None), resume=getattr(given, "resume", False),
        overwrite=given.overwrite, fast_dev_run=given.fast_dev_run, voice=voice,
    )  # fmt: skip
    folder = VERBS[verb](settings, options)
    report = folder / "report.html"
    voice.result(str(report if report.exists() else folder))
