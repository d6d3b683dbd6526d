"""What random lead presence in training is worth when leads are missing at test time, on a record task.

    OMP_NUM_THREADS=1 python benchmarks/ecg_leads.py [--KEY VALUE ...]

Two arms that differ in `modality.lead_dropout` alone: 0 (the usual augmentation) and 1 (every training window keeps a
random subset of its leads). Same windows, folds, seeds and initial weights. Each trained network scores the test
patients with all leads and again without `evaluate.drop_sensors` of them, drawn as `omnipatch evaluate` draws them;
limb leads that follow from two others come back. Leads are hidden in the prepared windows, which is the same as not
having recorded them (tests/test_ecg_lead_presence.py), instead of reading every recording again for each draw.

Folds are by patient and cover everybody; intervals resample patients. The table is printed after each seed, over all
seeds so far. Keys of a recipe override the settings below; data: $OMNIPATCH_DATA/ecg/ludb.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from omnipatch.core.blocks.encoder import Encoder
from omnipatch.core.config import Recipe
from omnipatch.core.console import Voice
from omnipatch.core.data.items import Items
from omnipatch.core.data.sensors import drop_sensors
from omnipatch.core.data.store import WindowStore
from omnipatch.core.downstream.evaluate import evaluate
from omnipatch.core.downstream.fewer_sensors import FewerSensors, sensor_curve
from omnipatch.core.downstream.rows import Evaluation, merge
from omnipatch.core.downstream.summary import summarise
from omnipatch.core.modality import Recording, SensorLoss
from omnipatch.core.prepared import prepare
from omnipatch.core.sequence import PatchSequence
from omnipatch.core.settings import load
from omnipatch.core.train.model_io import fresh_encoder
from omnipatch.modalities.ecg.lead_presence import without_leads
from omnipatch.modalities.ecg.leads import STANDARD_LEADS, derive_limb_leads

SETTINGS = [
    "--data.name", "ludb", "--data.task", "ludb-diagnosis",
    "--split.kind", "kfold", "--split.folds", "3",
    "--modality.leads", "null", "--modality.residual", "false", "--modality.patch_s", "0.2",
    "--encoder.width", "64", "--encoder.depth", "3",
    "--finetune.steps", "250", "--finetune.batch_size", "32",
    "--evaluate.models", "scratch", "--evaluate.protocols", "finetune", "--evaluate.seeds", "3",
    "--evaluate.drop_sensors", "3,6,9,11", "--evaluate.sensor_draws", "10",
]  # fmt: skip
ARMS = {"without": 0.0, "with": 1.0}


@dataclass(frozen=True)
class Hidden:
    """A store of twelve-lead windows in which some leads were never recorded."""

    whole: WindowStore
    lost: torch.Tensor

    def __getattr__(self, name: str) -> Any:
        return getattr(self.whole, name)

    def __len__(self) -> int:
        return len(self.whole)

    def items(self) -> Items:
        return self.whole.items()

    def batch(self, indices: np.ndarray) -> PatchSequence:
        batch = self.whole.batch(indices)
        return without_leads(batch, batch.spec, self.lost.expand(len(batch), -1))


def hidden(store: WindowStore, recipe: Recipe) -> list[FewerSensors]:
    """The store once for each number of lost leads and draw."""
    whole, found = Recording(np.zeros((12, 1)), STANDARD_LEADS, 1.0, "mV", ""), []
    for dropped in recipe.evaluate.drop_sensors:
        for draw in range(recipe.evaluate.sensor_draws):
            left = drop_sensors(whole, SensorLoss(dropped, draw))
            _, leads = derive_limb_leads(left.signals, left.sensors)
            lost = torch.tensor([lead not in leads for lead in STANDARD_LEADS])
            store_without: Any = Hidden(store, lost)
            found.append(FewerSensors(SensorLoss(dropped, draw), store_without))
    return found


def main(overrides: list[str]) -> None:
    torch.set_num_threads(1)
    settings, voice = load("ecg-jepa", [*SETTINGS, *overrides]), Voice()
    prepared, start = prepare(settings, voice), time.process_time()
    store, seeds = prepared.store, settings.recipe.evaluate.seeds
    fewer = hidden(store, settings.recipe)
    parts: dict[str, list[Evaluation]] = {arm: [] for arm in ARMS}
    for seed in range(seeds):
        recipe = replace(settings.recipe, seed=seed, evaluate=replace(settings.recipe.evaluate, seeds=1))

        def fresh(number: int, recipe: Recipe = recipe) -> Encoder:
            return fresh_encoder(recipe.encoder, store.spec, number)

        for split in prepared.splits:
            for arm, share in ARMS.items():
                modality = type(settings.modality)(replace(settings.modality.config, lead_dropout=share))
                voice.step(f"seed {seed}, fold {split.fold}, {arm} random lead presence")
                parts[arm].append(evaluate(recipe, modality, store, split, fresh(seed), fresh, None, fewer))
        task, seconds = store.task.name if store.task else "", time.process_time() - start
        print(f"\n{task}, {len(store.subjects)} patients, {len(prepared.splits)} folds, {seed + 1} seeds", end=", ")
        print(f"{recipe.evaluate.sensor_draws} draws of leads, {seconds:.0f} s of one core")
        report({arm: merge(found) for arm, found in parts.items()}, recipe)


def report(found: dict[str, Evaluation], recipe: Recipe) -> None:
    """AUROC of each arm with all leads, with fewer, and the paired change."""
    print("| random lead presence | leads lost | AUROC | change | worst draw |\n|---|---|---|---|---|")
    for arm, evaluation in found.items():
        for entry in summarise(evaluation, recipe.evaluate.bootstrap):
            if entry["metric"] == "auroc":
                print(f"| {arm} | 0 | {_interval(entry, 'mean', 'ci')} | | |")
        for entry in sensor_curve(evaluation, recipe.evaluate.bootstrap):
            if entry["metric"] == "auroc":
                auroc, change = _interval(entry, "mean", "ci"), _interval(entry, "change", "change", "+")
                print(f"| {arm} | {entry['dropped']} | {auroc} | {change} | {entry['worst']:.3f} |", flush=True)


def _interval(entry: dict[str, Any], mean: str, bounds: str, sign: str = "") -> str:
    low, high = entry[f"{bounds}_low"], entry[f"{bounds}_high"]
    spread = "" if low is None else f" [{low:{sign}.3f}, {high:{sign}.3f}]"
    return f"{entry[mean]:{sign}.3f}{spread}"


if __name__ == "__main__":
    main(sys.argv[1:])
