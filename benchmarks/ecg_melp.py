"""The ECG encoder of MELP and D-BETA against omnipatch's beat and rhythm encoder, side by side.

    OMP_NUM_THREADS=2 python benchmarks/ecg_melp.py PATH_TO_CHECKOUT [--batch 8] [--rounds 5]

The peer is 4 convolutions (together a stride of 16) over 12 x 5000 samples and 8 layers 768 wide on 312 tokens. MELP
(HKU-MedAI/MELP) takes it from a package that Python 3.11 cannot import (fuying-wang/fairseq-signals); D-BETA
(manhph2211/D-BETA) ships the same network in plain torch (with MELP's weights it gives MELP's tokens, to the last bit),
so PATH is a checkout of the latter. Its files run unmodified; what is stubbed stands in `dbeta.py`.

Rows; a record is 10 s of 12 leads at 500 Hz, in memory, read and cut into tokens before the clock starts
- peer: the encoder alone is timed, which flatters it. Its pretraining (step) adds a text model, fusion and decoders and
  shows the encoder a quarter of the tokens; of that only the FLOPs are counted, without the optimiser.
- equal: recipe ecg-beats with twelve leads at the peer's width, depth and heads.
- equal, 32 ms: the same with patches as short as the peer's tokens: the same work, another implementation.
- small: recipe ecg-beats with twelve leads. shipped: the recipe as it is, with the leads it chooses.

Modes: forward (inference); train (encoder alone: forward, backward, fused AdamW, the loss a mean square); step (a whole
pretraining step of the recipe: masks, teacher, predictor, decoder, optimiser, moving average).
What reading a record costs us beforehand (filters, R peaks, beats) is a row of its own; the peer only rescales.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import dbeta
import numpy as np
import torch
from bench import FAST_BF16, pretraining_step, race, serve, table
from flops import flops
from omnipatch.core.batching import collate
from omnipatch.core.modality import Recording
from omnipatch.core.objective import Objective
from omnipatch.core.settings import Settings, load
from omnipatch.core.train.model_io import fresh_encoder
from omnipatch.core.train.optimizer import build_adamw
from omnipatch.modalities.ecg.demo import make_recording
from omnipatch.modalities.ecg.leads import STANDARD_LEADS
from torch import Tensor, nn

SFREQ_HZ, DURATION_S = 500.0, 10.0
TWELVE = [f"--modality.leads=[{','.join(STANDARD_LEADS)}]"]
EQUAL = [*TWELVE, "--encoder.width=768", "--encoder.depth=8", "--encoder.heads=12"]
OURS = {
    "equal": EQUAL,
    "equal, 32 ms": [*EQUAL, "--modality.sfreq_hz=125", "--modality.patch_s=0.032"],
    "small": TWELVE,
    "shipped": [],
}
MODES = {
    "forward": ("peer", "equal", "equal, 32 ms", "small", "shipped"),
    "train": ("peer", "equal", "equal, 32 ms", "small", "shipped"),
    "step": ("equal", "small", "shipped"),
}
Step = Callable[[], object]


def recordings(n: int) -> list[Recording]:
    """Synthetic patients, the same for every row."""
    return [make_recording(np.random.default_rng(i), SFREQ_HZ, DURATION_S, STANDARD_LEADS) for i in range(n)]


def peer(checkout: Path, mode: str, batch: int) -> tuple[nn.Module, Step]:
    x = torch.stack([torch.from_numpy(np.asarray(r.signals, np.float32)) for r in recordings(batch)])
    low, high = x.amin(dim=(1, 2), keepdim=True), x.amax(dim=(1, 2), keepdim=True)
    x = (x - low) / (high - low)
    if mode == "step":
        return dbeta.pretraining(checkout, x)
    encoder = dbeta.encoder(checkout)
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=2e-4, weight_decay=0.2, betas=(0.9, 0.95), fused=True)
    return encoder, encoder_step(encoder, lambda: encoder(x)["x"], mode, optimizer)


def ours(settings: Settings, mode: str, batch: int) -> tuple[nn.Module, Step]:
    recipe, modality = settings.recipe, settings.modality
    windows = [modality.windows(r)[0] for r in recordings(batch)]
    data = collate([modality.patchify(w) for w in windows]).replace(window=torch.arange(batch))
    encoder = fresh_encoder(recipe.encoder, data.spec, 0)
    if mode != "step":
        return encoder, encoder_step(
            encoder, lambda: encoder(data).tokens, mode, build_adamw(encoder, recipe.optimizer)
        )
    objective = Objective.from_config(recipe.objective, data.spec, encoder)
    objective.augment, objective.total_steps = modality.augment, recipe.trainer.max_steps
    return encoder, pretraining_step(objective, build_adamw(objective, recipe.optimizer), data, recipe.seed)


def encoder_step(
    encoder: nn.Module, forward: Callable[[], Tensor], mode: str, optimizer: torch.optim.Optimizer
) -> Step:
    """Inference of an encoder, or a training step of it alone."""
    encoder.train(mode == "train")

    def train() -> None:
        forward().float().square().mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return torch.inference_mode()(forward) if mode == "forward" else train


def contestant(checkout: Path, side: str, mode: str, batch: int) -> tuple[nn.Module, Step]:
    """Encoder and step of one row."""
    torch.manual_seed(0)
    return peer(checkout, mode, batch) if side == "peer" else ours(load("ecg-beats", OURS[side]), mode, batch)


def costs(checkout: Path, sides: Sequence[str], batch: int = 2) -> dict[tuple[str, str], float]:
    """FLOPs a record of each (side, mode); prints them with the size of each encoder."""
    found = {}
    print(f"{'':16s} {'M parameters':>12s} {'GFLOP forward':>14s} {'train':>8s} {'step':>8s}   (a record)")
    for side in sides:
        size = 0
        for mode in MODES:
            encoder, step = contestant(checkout, side, mode, batch)
            size = sum(p.numel() for p in encoder.parameters())
            found[side, mode] = flops(step) / batch
        row = [found[side, mode] / 1e9 for mode in MODES]
        print(f"{side:16s} {size / 1e6:12.2f} {row[0]:14.2f} {row[1]:8.2f} {row[2]:8.2f}")
    for mode in MODES:
        print(f"small, {mode}: 1/{found['peer', mode] / found['small', mode]:.0f} of the peer's")
    return found


def reading(n: int) -> None:
    """Prints the processor time from samples in memory to tokens; made once a record, then cached."""
    for side in ("small", "shipped"):
        modality, seconds = load("ecg-beats", OURS[side]).modality, []
        for recording in recordings(n):
            start = time.process_time()
            modality.patchify(modality.windows(recording)[0])
            seconds.append(time.process_time() - start)
        print(f"{side}: {1e3 * statistics.median(seconds):.1f} ms to cut a record into tokens")


def compare(checkout: Path, modes: tuple[str, ...], precision: str, batch: int, rounds: int, steps: int) -> None:
    """Time all rows of some modes in alternation; the peer is the reference."""
    base = [__file__, str(checkout), "--batch", str(batch), "--steps", str(steps)]
    rows = {f"{side}, {mode}": f"{side}:{mode}:{precision}" for mode in modes for side in MODES[mode]}
    contestants = race(base, rows, rounds)
    print(f"\n{' and '.join(modes)}, {precision}")
    print(table(contestants, f"peer, {modes[0]}", batch))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1, help="steps a round")
    parser.add_argument("--costs-only", action="store_true", help="count FLOPs, time nothing")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        side, mode, precision = args.worker.split(":")
        step = contestant(args.checkout, side, mode, args.batch)[1]

        def mixed() -> None:  # entered anew each step: weights cast once would be kept while it lasts
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                step()

        serve(mixed, args.steps)
        return
    costs(args.checkout, MODES["forward"])
    if args.costs_only:
        return
    print(f"\nbatch {args.batch}, {args.rounds} rounds of {args.steps} steps, {torch.get_num_threads()} threads")
    reading(args.batch)
    for precision in ("fp32", "bf16") if FAST_BF16 else ("fp32",):
        compare(args.checkout, ("forward",), precision, args.batch, args.rounds, args.steps)
        compare(args.checkout, ("train", "step"), precision, args.batch, args.rounds, args.steps)


if __name__ == "__main__":
    main()
