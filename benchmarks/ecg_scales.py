"""What each scale and each idea of `ecg-beats` earns: rows that differ in one thing, cross-validated over patients.

    OMP_NUM_THREADS=1 OMNIPATCH_DATA=DIR python benchmarks/ecg_scales.py [--only N ...] [--out DIR] [--KEY VALUE ...]

Only patients of MIT-BIH's DS1 take part, so a choice made here has seen nobody of DS2. They are cut into four groups;
each is the test once, and the decisions of all four are scored together, without the hand features that the recipe
pools with. Every row is an `omnipatch run` and differs from the one before in what its name says; from the eighth on,
from the recipe (the sixth). The first seven learn from labels alone, the last two pretrain without the test patients.

Printed are macro F1 and AUROC, the F1 of each class (of F nine in ten beats are one patient's), and the difference to
the recipe from scratch with its 95 % interval over patients. A run that is found under `--out` is used again. Keys of
a recipe override the settings of all rows.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from omnipatch.core.cli import execute
from omnipatch.core.downstream.compare import compare
from omnipatch.core.downstream.pooled import join_folds
from omnipatch.core.downstream.predictions import FILE, Predictions

RECIPE = "ecg-beats"
COMMON = [
    "--data.name", "mitdb", "--split.kind", "kfold", "--split.folds", "4", "--evaluate.protocols", "finetune",
    "--evaluate.blend", "0", "--evaluate.seeds", "1",
]  # fmt: skip
# a run pretrains: one step, under masks that ask for no beats
ANY = "{name: random, kinds: null}"
UNTRAINED = [
    "--evaluate.models", "scratch", "--trainer.max_steps", "1", "--objective.views.context.mask", ANY,
    "--objective.views.rhythm.mask", ANY,
]  # fmt: skip
PRETRAINED = ["--evaluate.models", "pretrained"]


@dataclass(frozen=True)
class Variant:
    """One row, the only model of its run. options: of the recipe. pretrained: or from scratch."""

    name: str
    options: tuple[str, ...]
    pretrained: bool = False

    @property
    def command(self) -> list[str]:
        return [*COMMON, *(PRETRAINED if self.pretrained else UNTRAINED), *self.options]


def _plain(scales: str, residual: bool, heights: bool, told: bool) -> tuple[str, ...]:
    flags = {"residual": residual, "normal_heights": heights, "beat_intervals": told}
    words = [word for name, on in flags.items() for word in (f"--modality.{name}", str(on).lower())]
    return ("--modality.scales", scales, *words)


RECIPE_ROW = 5
VARIANTS = (
    Variant("time patches", _plain("[patch]", False, False, False)),
    Variant("+ difference to the record's normal beat", _plain("[patch]", True, False, False)),
    Variant("+ units of the normal beat's height", _plain("[patch]", True, True, False)),
    Variant("+ intervals around the beat, told to the head", _plain("[patch]", True, True, True)),
    Variant("+ beat tokens", _plain("[patch,beat]", True, True, True)),
    Variant("+ rhythm tokens: the recipe", _plain("[patch,beat,rhythm]", True, True, True)),
    Variant("the recipe, no attention between beats", ("--modality.window_s", "1.2", "--modality.stride_s", "0.6")),
    Variant("the recipe, pretrained", (), pretrained=True),
    Variant("the same, ludb and cinc2021 in pretraining", ("--data.pretrain_with", "[ludb,cinc2021]"), pretrained=True),
)


def first_division(root: Path, folder: Path) -> Path:
    """A folder with the records of DS1 alone, by links."""
    folder.mkdir(parents=True, exist_ok=True)
    for record in (root / "DS1.txt").read_text().split():
        for path in root.glob(f"{record}.*"):
            link = folder / path.name
            link.unlink(missing_ok=True)
            link.symlink_to(path.resolve())
    return folder


def decisions(folder: Path) -> Predictions:
    """What the model of a run decided, all folds together, under a name that is the same for every row."""
    found = Predictions.load(folder)
    joined = join_folds(found.evaluation)
    rows = [replace(row, model="scratch") for row in joined.rows]
    predictions = {row.key: joined.predictions[old.key] for row, old in zip(rows, joined.rows, strict=True)}
    return replace(found, evaluation=replace(joined, rows=rows, predictions=predictions))


def print_rows(done: Mapping[str, Predictions], reference: str) -> None:
    """Scores of every row, and its differences to the reference."""
    ordered = {reference: done[reference], **done}
    entries = compare(ordered).entries if len(ordered) > 1 else []
    print(f"\n{'':<48}{'F1':>6}{'AUROC':>7}{'N':>7}{'S':>6}{'V':>6}{'F':>6}   difference of F1, of AUROC")
    for name, predictions in done.items():
        rows = predictions.evaluation.rows
        scores = [
            np.mean([row.metrics[key] for row in rows]) for key in ("macro_f1", "auroc", "f1_N", "f1_S", "f1_V", "f1_F")
        ]
        changes = [
            f"{e['change']:+.3f} ({e['change_low']:+.3f} to {e['change_high']:+.3f})"
            for metric in ("macro_f1", "auroc")
            for e in entries
            if e["run"] == name and e["metric"] == metric and e["change"] is not None
        ]
        print(f"{name:<48}" + " ".join(f"{score:6.3f}" for score in scores) + f"   {', '.join(changes)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", type=int, nargs="*", help="numbers of the rows, from 1; default: all")
    parser.add_argument("--out", type=Path, default=Path("runs/ecg-scales"))
    given, overrides = parser.parse_known_args()
    root = first_division(Path(os.environ["OMNIPATCH_DATA"]) / "ecg/mitdb", given.out / "ds1")
    chosen = sorted({RECIPE_ROW, *((n - 1 for n in given.only) if given.only else range(len(VARIANTS)))})
    done: dict[str, Predictions] = {}
    for number in sorted(chosen, key=lambda n: n != RECIPE_ROW):  # what all are compared with comes first
        variant, folder = VARIANTS[number], given.out / str(number + 1)
        if not (folder / FILE).is_file():
            words = [*variant.command, "--data.root", str(root), "--out", str(folder), "--overwrite", *overrides]
            if code := execute(["run", RECIPE, *words]):
                raise SystemExit(code)
        done[variant.name] = decisions(folder)
        print_rows(done, VARIANTS[RECIPE_ROW].name)


if __name__ == "__main__":
    main()
