"""The verbs of the command line: what they take, and where the function lies that does the work.

A function is named as "module:function" and imported when its verb is called, so that help needs none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

Argument = tuple[tuple[str, ...], dict[str, Any]]


@dataclass(frozen=True)
class Verb:
    """One verb. `overrides`: whether it takes dotted keys of a recipe."""

    help: str
    example: str
    target: str
    arguments: tuple[Argument, ...] = ()
    overrides: bool = False

    @property
    def takes_recipe(self) -> bool:
        """Whether all keys of a recipe are options, not those of its modality alone."""
        return self.overrides and _RECIPE in self.arguments

    def load(self) -> Callable[..., int | None]:
        """Import the function."""
        module, _, function = self.target.partition(":")
        return getattr(import_module(module, __package__), function)


def _argument(*flags: str, **options: Any) -> Argument:
    return flags, options


_RECIPE = _argument("recipe", metavar="RECIPE", help="name of a shipped recipe or path of a YAML file")
_OUT = _argument("--out", metavar="DIR", help="run folder (default: runs/RECIPE-TIME)")
_OVERWRITE = _argument("--overwrite", action="store_true", help="start again in a folder that holds a run")
_RESUME = _argument("--resume", action="store_true", help="continue the run in --out, or the newest of this recipe")
_FROM = _argument("--from", dest="source", metavar="RUN", required=True, help="run or model folder with the weights")
_LOOKS = (
    _argument("--print-config", action="store_true", help="print the merged recipe and stop"),
    _argument("--dry-run", action="store_true", help="build everything, one batch; print parameters, tokens, memory"),
    _argument("--fast-dev-run", action="store_true", help="two steps of everything"),
)

VERBS: dict[str, Verb] = {
    "recipes": Verb("list the shipped recipes", "omnipatch recipes", ".verbs_info:recipes"),
    "modalities": Verb("list the installed modalities", "omnipatch modalities", ".verbs_info:modalities"),
    "doctor": Verb("check this installation and machine", "omnipatch doctor", ".doctor:doctor"),
    "run": Verb(
        "pretrain, evaluate and report in one command",
        "omnipatch run ecg-jepa --data.manifest my.csv --trainer.max_steps 2000 --out runs/first",
        ".verbs_recipe:run",
        (_RECIPE, _OUT, _RESUME, _OVERWRITE, *_LOOKS),
        overrides=True,
    ),
    "pretrain": Verb(
        "pretrain an encoder",
        "omnipatch pretrain ecg-jepa --data.name mitdb --data.root DIR",
        ".verbs_recipe:pretrain",
        (_RECIPE, _OUT, _RESUME, _OVERWRITE, *_LOOKS),
        overrides=True,
    ),
    "finetune": Verb(
        "fine-tune a pretrained encoder, beside the same network from scratch",
        "omnipatch finetune ecg-jepa --from runs/first --data.manifest labelled.csv",
        ".verbs_recipe:finetune",
        (_RECIPE, _FROM, _OUT, _OVERWRITE, *_LOOKS),
        overrides=True,
    ),
    "evaluate": Verb(
        "compute all rows of the result table for a pretrained encoder",
        "omnipatch evaluate ecg-jepa --from runs/first --data.name mitdb --data.root DIR",
        ".verbs_recipe:evaluate",
        (_RECIPE, _FROM, _OUT, _OVERWRITE, *_LOOKS),
        overrides=True,
    ),
    "embed": Verb(
        "write one vector a window of your files, or one an id that the model ranks, or the codes of tokens",
        "omnipatch embed --from runs/first *.hea --out vectors.npz",
        ".verbs_model:embed",
        (
            _FROM,
            _argument("files", nargs="*", metavar="FILES", help="recordings in the modality's own formats"),
            _argument("--what", choices=("windows", "ids"), default="windows", help="of what (default: windows)"),
            _argument("--codes", action="store_true",
                      help="the codes of each token instead, where the model has learned to predict codes"),
            _argument("--out", required=True, metavar="FILE.npz", help="where they go; of ids also .csv, .safetensors"),
            _argument("--overwrite", action="store_true", help="replace an existing file"),
        ),
        overrides=True,
    ),
    "predict": Verb(
        "decide about your files by the classifier that a run fine-tuned",
        "omnipatch predict --from runs/first *.hea --out decisions.csv",
        ".verbs_predict:predict",
        (
            _FROM,
            _argument("files", nargs="+", metavar="FILES", help="recordings in the modality's own formats"),
            _argument("--out", metavar="FILE.csv", help="write them there instead of showing them"),
            _argument("--overwrite", action="store_true", help="replace an existing file"),
        ),
        overrides=True,
    ),
    "recommend": Verb(
        "rank what is new to people by their histories",
        "omnipatch recommend --from runs/first --history new.csv --k 20",
        ".verbs_rank:recommend",
        (
            _FROM,
            _argument("--history", required=True, metavar="FILE",
                      help="who took what, in the modality's own formats; it alone is read, also for people that the "
                           "model has learned from: give their whole history"),
            _argument("--k", type=int, default=20, metavar="N", help="how many a person (default: 20)"),
            _argument("--alone", action="store_true", help="by the trained model, without a ranker beside it"),
            _argument("--out", metavar="FILE.csv", help="write them there instead of showing them"),
            _argument("--overwrite", action="store_true", help="replace an existing file"),
        ),
        overrides=True,
    ),
    "compare": Verb(
        "say what differs between finished runs on the same test people, with paired intervals",
        "omnipatch compare runs/mae runs/jepa --row pretrained/finetune",
        ".verbs_compare:compare",
        (
            _argument("runs", nargs="+", metavar="RUN", help="run folders; all others are compared with the first"),
            _argument(
                "--row", action="append", default=[], metavar="MODEL/PROTOCOL",
                help="only this row, e.g. pretrained, or pretrained/finetune/0.1 (10 %% of labels); may be repeated",
            ),
            _argument(
                "--metric", action="append", default=[], metavar="NAME", help="only this metric; may be repeated"
            ),
            _argument("--shared", action="store_true", help="compare on the test people that all runs have in common"),
            _argument("--out", metavar="FILE", help="write all of it there, too: FILE.csv or FILE.json"),
            _argument("--overwrite", action="store_true", help="replace an existing file"),
        ),
    ),
    "data": Verb(
        "list, download, check or prepare data",
        "omnipatch data check my.csv --modality ecg",
        ".verbs_data:data",
        (
            _argument("action", choices=("list", "fetch", "check", "prepare"), help="what to do"),
            _argument(
                "subject", nargs="?", metavar="NAME|PATH|RECIPE",
                help="data set to fetch, folder or manifest to check, or recipe to prepare the windows of",
            ),
        ),
        overrides=True,
    ),
    "report": Verb("draw report.html of a run again", "omnipatch report runs/first", ".verbs_model:report",
                   (_argument("run", metavar="RUN", help="run folder"),)),
    "export": Verb(
        "copy the model of a run (safetensors, preprocessing and card) to a folder to share",
        "omnipatch export runs/first --out my-encoder",
        ".verbs_model:export",
        (
            _argument("run", metavar="RUN", help="run folder"),
            _argument("--out", metavar="DIR", help="new folder (default: RUN/export)"),
            _argument("--overwrite", action="store_true", help="replace an existing folder"),
        ),
    ),
    "new-modality": Verb(
        "write the skeleton of a package with a new modality",
        "omnipatch new-modality gait --out .",
        ".verbs_info:new_modality",
        (
            _argument("name", metavar="NAME", help="name of the modality, e.g. gait"),
            _argument("--out", metavar="DIR", default=".", help="folder that gets the package (default: here)"),
        ),
    ),
}  # fmt: skip
