"""A pretraining step of MAMP against steps of omnipatch on the same clips, side by side.

    python benchmarks/skeleton_mamp.py PATH_TO_CHECKOUT [--persons 1] [--threads 2] [--batch 4] [--rounds 5]

A clip is 120 frames of 25 joints, of random walks in memory; a step is forward, backward and AdamW (and the moving
average, where there is one). With one person every clip shows one. With two, half of the clips show a second one, as in
NTU RGB+D: a timed step is then two steps, on a batch of clips with two persons and on one of clips with one, which is
how the loader puts lengths together. MAMP works on the empty person like on any other.

On a machine that others use, `--threads 1 --processor-time` gives ratios that can be trusted: threads that wait for
each other, and small steps more than large ones, lose much of the wall's time to what else runs.

Rows
- MAMP: its own network and configuration (750 tokens a person, encoder 256 x 8, decoder 256 x 5, 90 % hidden), in
  float32, which is how it ships, or under bf16 autocast.
- mamp, same shape: our composition with the same tokens, networks and share of hidden patches, all of them predicted
  by a decoder of the same kind. Persons of a clip attend to each other.
- mamp, cross: the same networks, but queries look at the encoding only and a quarter of what is hidden is predicted.
- jepa, compact: recipe skeleton-jepa with an encoder of the same size on body-part tokens of 4 frames: 180 a person.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mamp
import numpy as np
import torch
from bench import OWN, pretraining_step, print_tables, race, serve
from flops import flops
from omnipatch.core.batching import collate
from omnipatch.core.modality import Modality
from omnipatch.core.objective import Objective
from omnipatch.core.sequence import PatchSequence
from omnipatch.core.settings import load
from omnipatch.core.train.model_io import fresh_encoder
from omnipatch.core.train.optimizer import build_adamw
from omnipatch.modalities.skeleton.clip import make_clip
from omnipatch.modalities.skeleton.layout import find_layout
from torch import Tensor, nn

SFREQ_HZ = 30.0
ENCODER = ["--encoder.width=256", "--encoder.depth=8", "--encoder.heads=8"]
CUT = [
    f"--modality.sfreq_hz={SFREQ_HZ}",
    f"--modality.window_s={mamp.FRAMES / SFREQ_HZ}",
    f"--modality.patch_frames={mamp.PATCH_FRAMES}",
]
DECODER = "width: 256, depth: 5, heads: 8, positions: fourier"
MASK = f"name: motion, ratio: {mamp.MASK_RATIO}, tau: {mamp.TAU}, against: before"
OURS = {
    "same": (
        "skeleton-mamp",
        [
            *CUT,
            *ENCODER,
            "--encoder.positions=fourier",
            f"--objective.views.context.mask={{{MASK}, predict: 1.0}}",
            f"--objective.heads.decoder={{name: decoder, {DECODER}}}",
        ],
    ),
    "cross": (
        "skeleton-mamp",
        [
            *CUT,
            *ENCODER,
            f"--objective.views.context.mask={{{MASK}, predict: 0.25}}",
            f"--objective.heads.decoder={{name: cross_decoder, {DECODER}}}",
        ],
    ),
    "compact": ("skeleton-jepa", [*CUT, *ENCODER]),
}
AS_SHIPPED, EQUAL = "MAMP, as shipped (fp32)", "MAMP, bf16"
ROWS = {
    AS_SHIPPED: "peer:fp32",
    EQUAL: "peer:bf16",
    "mamp, same shape, fp32": "same:fp32",
    "mamp, same shape, bf16": "same:bf16",
    f"mamp, cross ({OWN})": f"cross:{OWN}",
    "jepa, compact, fp32": "compact:fp32",
    f"jepa, compact, as shipped ({OWN})": f"compact:{OWN}",
}
Step = Callable[[], object]


def clips(count: int, persons: int) -> np.ndarray:
    """[clip, person, frame, joint, xyz] in metres: random walks of joints around a standing person."""
    rng = np.random.default_rng(persons)
    start = rng.normal(0.0, 0.4, (count, persons, 1, mamp.JOINTS, 3))
    walk = rng.normal(0.0, 0.02, (count, persons, mamp.FRAMES, mamp.JOINTS, 3)).cumsum(axis=2)
    return (start + walk).astype(np.float32)


def batches(count: int, persons: int) -> list[np.ndarray]:
    """What a timed step works on: clips of one person, or as many with two."""
    return [clips(count, n) for n in range(persons, 0, -1)]


def peers(made: np.ndarray, persons: int) -> Tensor:
    """[clip, xyz, frame, joint, person] with absent persons as zeros, the form that MAMP takes."""
    filled = np.zeros((len(made), persons, *made.shape[2:]), np.float32)
    filled[:, : made.shape[1]] = made
    return torch.from_numpy(filled.transpose(0, 4, 2, 3, 1).copy())


def tokens(modality: Modality, made: np.ndarray) -> PatchSequence:
    """The clips as one batch, by all that is done to a file once it is read."""
    layout = find_layout("ntu-25")
    recordings = [make_clip(clip, layout, SFREQ_HZ, str(i)) for i, clip in enumerate(made)]
    rows = [modality.patchify(next(iter(modality.windows(recording)))) for recording in recordings]
    return collate(rows).replace(window=torch.arange(len(rows)))


def contestant(checkout: Path, side: str, batch: int, persons: int, mixed: Callable[[], Any]) -> tuple[nn.Module, Step]:
    """What is trained in a row, and a step of it."""
    torch.manual_seed(0)
    made = batches(batch, persons)
    if side == "peer":
        net, step = mamp.pretraining(checkout, [peers(clip, persons) for clip in made])

        def peer() -> None:  # entered anew each step: weights cast once would be kept while it lasts
            with mixed():
                step()

        return net, peer
    name, options = OURS[side]
    settings = load(name, options)
    recipe, modality = settings.recipe, settings.modality
    data = [tokens(modality, clip) for clip in made]
    encoder = fresh_encoder(recipe.encoder, data[0].spec, recipe.seed)
    objective = Objective.from_config(recipe.objective, data[0].spec, encoder)
    objective.augment, objective.total_steps = modality.augment, recipe.trainer.max_steps
    objective.prepare(lambda: data)
    optimizer = build_adamw(objective, recipe.optimizer)
    steps = [pretraining_step(objective, optimizer, each, recipe.seed, mixed) for each in data]
    return objective, lambda: [step() for step in steps]


def costs(checkout: Path, batch: int, persons: int) -> None:
    """Prints the size of what is trained and the FLOPs of a clip."""
    print(f"{'':16s} {'M parameters':>12s} {'GFLOP a clip':>13s}")
    for side in ("peer", *OURS):
        module, step = contestant(checkout, side, batch, persons, contextlib.nullcontext)
        size = sum(p.numel() for p in module.parameters() if p.requires_grad)
        print(f"{side:16s} {size / 1e6:12.2f} {flops(step) / (batch * persons) / 1e9:13.2f}")


def compare(checkout: Path, batch: int, persons: int, rounds: int, options: list[str]) -> None:
    """Time all rows in alternation; prints a table against each precision of MAMP. options: further ones of workers."""
    base = [__file__, str(checkout), f"--batch={batch}", f"--persons={persons}", *options]
    contestants = race(base, ROWS, rounds)
    kind = "one person a clip" if persons == 1 else "a second person in half of the clips"
    print(f"\n{batch} clips a step, {kind}, {rounds} rounds, {' '.join(options)}")
    print_tables(contestants, (AS_SHIPPED, EQUAL), batch * persons, "clips")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--persons", type=int, choices=(1, 2), help="default: both, in turn")
    parser.add_argument("--batch", type=int, default=4, help="clips a step")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1, help="steps a round")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--processor-time", action="store_true", help="instead of the wall's: for a busy machine")
    parser.add_argument("--costs-only", action="store_true", help="count FLOPs, time nothing")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.worker:
        side, precision = args.worker.split(":")

        def mixed() -> contextlib.AbstractContextManager:
            return torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")

        step = contestant(args.checkout, side, args.batch, args.persons, mixed)[1]
        serve(step, args.steps, warmup=1, clock=time.process_time if args.processor_time else time.perf_counter)
        return
    options = [f"--threads={args.threads}", f"--steps={args.steps}", *["--processor-time"] * args.processor_time]
    for persons in [args.persons] if args.persons else (1, 2):
        if not args.costs_only:
            compare(args.checkout, args.batch, persons, args.rounds, options)
        costs(args.checkout, args.batch, persons)


if __name__ == "__main__":
    main()
