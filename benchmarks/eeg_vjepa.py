"""A pretraining step of EEG-VJEPA (size M) against the same step of omnipatch, side by side.

    python benchmarks/eeg_vjepa.py PATH_TO_CHECKOUT [--threads 2] [--batch 2] [--rounds 5]

A record is a clip of 32 frames of 19 channels x 500 samples; 4 x 4 x 30 patches of it make 512 tokens. Encoder 384 x
12, predictor 384 x 6, six heads each, a short-range and a long-range mask against one pass of the teacher; a step is
forward, backward, AdamW and moving average. Records are random numbers in memory. The batch is that of the peer's
shipped configuration, 2 records a process.

Rows
- peer: amir-hojjati/eeg-vjepa as its `train_step` does it, in float32 (its configuration) or under bf16 autocast. Its
  masks are drawn before the clock starts and its gradient and optimiser statistics are left out, both in its favour.
  It cuts a batch to its smallest mask, so steps differ much in size: the timed ones are those nearest to the mean.
- published: recipe eeg-vjepa on the same grid with the published parts: places added to the tokens, no guard. Its masks
  show and ask for as many patches as the peer's do on average; they are drawn inside the timed step.
- recipe: the same with what the recipe ships instead: rotary places, the variance guard, precision of its own choice.
- recipe, half: the same, but only half of the hidden patches are predicted.
- recipe, cross: the predictor's queries attend to the seen patches alone (CrossMAE), not to each other.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import vjepa
from bench import OWN, pretraining_step, print_tables, race, serve
from flops import flops
from omnipatch.core.batching import collate
from omnipatch.core.modality import Window
from omnipatch.core.objective import Objective
from omnipatch.core.settings import Settings, load
from omnipatch.core.train.model_io import fresh_encoder
from omnipatch.core.train.optimizer import build_adamw
from torch import nn

TOKENS = 512
SFREQ_HZ = 100.0
GRID = [
    "--modality.layout=grid",
    "--modality.window_s=160",
    "--modality.frame_step_s=5",  # 32 frames, one after the other
    f"--modality.sfreq_hz={SFREQ_HZ}",
    "--encoder.width=384",
    "--encoder.heads=6",
    "--encoder.depth=12",
    "--objective.heads.predictor={width: 384, depth: 6, heads: 6}",
    # seen and predicted: 141 and 320, 165 and 265 patches, the peer's means at batch 2
    "--objective.views.short.mask={name: multiblock, scale: 0.15, ratio: 0.725, predict: 0.863}",
    "--objective.views.long.mask={name: multiblock, scale: 0.4, ratio: 0.678, predict: 0.764}",
]
CROSS = "--objective.heads.predictor.name=cross_predictor"  # hidden tokens ask for themselves alone


def predicted(share: float) -> list[str]:
    """Only a share of the hidden tokens is predicted."""
    return [f"--objective.views.{name}.mask.predict={share}" for name in ("short", "long")]


OURS = {
    "recipe": GRID,
    "recipe, half": [*GRID, *predicted(0.5)],
    "recipe, cross": [*GRID, CROSS],
    "recipe, cross, half": [*GRID, CROSS, *predicted(0.5)],
    "published": [
        *GRID,
        "--encoder.positions=fourier",
        "--objective.heads.predictor.positions=fourier",
        "--objective.regularizers.guard=null",
    ],
}
ROWS = {
    "peer, as shipped (fp32)": "peer:fp32",
    "peer, bf16": "peer:bf16",
    "published, fp32": "published:fp32",
    "published, bf16": "published:bf16",
    f"recipe, as shipped ({OWN})": f"recipe:{OWN}",
    **{f"{name} ({OWN})": f"{name}:{OWN}" for name in ("recipe, half", "recipe, cross", "recipe, cross, half")},
    "recipe, cross, half, fp32": "recipe, cross, half:fp32",
}
Step = Callable[[], object]


def ours(settings: Settings, batch: int) -> tuple[list[nn.Module], Step]:
    """Encoder and heads, and one step of them, as the training room does it."""
    recipe, modality = settings.recipe, settings.modality
    rng = np.random.default_rng(0)
    clips = rng.standard_normal((batch, vjepa.CHANNELS, vjepa.FRAMES * vjepa.SAMPLES)).astype(np.float32)
    windows = [Window(clip, modality.config.sites, SFREQ_HZ, start_s=0.0, record="") for clip in clips]
    data = collate([modality.patchify(w) for w in windows]).replace(window=torch.arange(batch))
    encoder = fresh_encoder(recipe.encoder, data.spec, 0)
    objective = Objective.from_config(recipe.objective, data.spec, encoder)
    objective.augment, objective.total_steps = modality.augment, recipe.trainer.max_steps
    step = pretraining_step(objective, build_adamw(objective, recipe.optimizer), data, recipe.seed)
    return [encoder, objective.heads], step


def contestant(checkout: Path, side: str, batch: int) -> tuple[list[nn.Module], Step]:
    """Trained parts and step of one row."""
    torch.manual_seed(0)
    if side == "peer":
        return vjepa.pretraining(checkout, batch)
    return ours(load("eeg-vjepa", OURS[side]), batch)


def costs(checkout: Path, batch: int) -> None:
    """Prints the size of the networks and the FLOPs of a record."""
    print(f"{'':16s} {'M parameters':>12s} {'GFLOP a record':>15s}")
    for side in ("peer", *OURS):
        modules, step = contestant(checkout, side, batch)
        size = sum(p.numel() for module in modules for p in module.parameters())
        print(f"{side:16s} {size / 1e6:12.2f} {flops(step) / batch / 1e9:15.1f}")


def compare(checkout: Path, batch: int, rounds: int, steps: int, threads: int) -> None:
    """Time all rows in alternation; prints a table against each precision of the peer."""
    base = [__file__, str(checkout), f"--batch={batch}", f"--steps={steps}", f"--threads={threads}"]
    contestants = race(base, ROWS, rounds)
    print(f"\nbatch {batch} of {TOKENS} tokens, {rounds} rounds of {steps} steps, {threads} threads")
    print_tables(contestants, ("peer, as shipped (fp32)", "peer, bf16"), batch)
    for c in contestants:
        print(f"{c.name:34s} {batch * TOKENS / statistics.median(c.seconds):9.0f} tokens/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2, help="steps a round")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--costs-only", action="store_true", help="count FLOPs, time nothing")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.worker:
        side, precision = args.worker.split(":")
        step = contestant(args.checkout, side, args.batch)[1]

        def mixed() -> None:  # entered anew each step: weights cast once would be kept while it lasts
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                step()

        serve(mixed, args.steps)
        return
    if not args.costs_only:
        compare(args.checkout, args.batch, args.rounds, args.steps, args.threads)
    costs(args.checkout, args.batch)


if __name__ == "__main__":
    main()
