"""Encoding with direct-sum codebooks: omnipatch beside multi_quantization, on the same codebooks.

    OMP_NUM_THREADS=1 python benchmarks/mvq_encode.py PATH

PATH is a checkout of https://github.com/k2-fsa/multi_quantization. Frames are made here: sums of smoothly changing
low-rank parts and noise, whose eigenvalues fall like those of speech features; those to encode were not trained on.
Both sides encode the same frames with the same centres, in turn, one thread; rates are frames per second of processor
time of this process. The error is the squared one as a share of the squared distance from the mean, computed once for
both, in double precision.

The centres are learned by omnipatch, and the linear layer that gives the reference its first guess by cross-entropy
with the codes that a search finds, the loss it is trained with there. With `--steps` the reference's own trainer
learns both, in so many steps a phase of `--batch` frames (hours of processor time for its defaults, 10000 of 600).
`--keep FOLDER` saves what it learned, and reads it there the next time.

The reference refines each codebook as if the others stood still and then merges; it is made for codebooks that its own
trainer has pushed apart, and on others its passes may raise the error. Errors compare with `--steps`, rates anyhow.

The reference runs as shipped (5 refinements of the prediction of its linear layer), and with 1 for comparison.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from omnipatch.modalities.speech.mvq import Quantizer, train_quantizer
from torch import Tensor

SIZES = ((512, 8), (768, 16))
SEARCHES = ((4, 2), (8, 2), (32, 6))  # states, sweeps; the second is the default


def frames(dim: int, count: int, draw: torch.Generator) -> Tensor:
    """[frame, dim]: neighbours alike, a spectrum that falls with the rank, as hidden states of a speech model have."""
    rank = min(dim, 256)
    mixing = torch.linalg.qr(torch.randn(dim, rank, generator=torch.Generator().manual_seed(0)))[0]
    height = torch.arange(1, rank + 1).float() ** -0.6
    step = torch.randn(count, rank, generator=draw)
    state = torch.nn.functional.avg_pool1d(step.T.unsqueeze(0), 5, stride=1, padding=2)[0].T
    return (2.2 * state * height) @ mixing.T + 0.02 * torch.randn(count, dim, generator=draw)


def trained(dim: int, codebooks: int, steps: int, batch: int, keep: Path | None) -> Any:
    """A quantiser of the reference."""
    import multi_quantization as reference  # type: ignore[import-not-found]

    draw = torch.Generator().manual_seed(1)
    if steps:
        kept = keep and keep / f"{dim}x{codebooks}-{steps}x{batch}.pt"
        if kept and kept.exists():
            made = reference.Quantizer(dim=dim, codebook_size=256, num_codebooks=codebooks)
            made.load_state_dict(torch.load(kept))
            return made
        trainer = reference.QuantizerTrainer(
            dim=dim, bytes_per_frame=codebooks, device=torch.device("cpu"), phase_one_iters=steps, phase_two_iters=steps
        )
        while not trainer.done():
            trainer.step(frames(dim, batch, draw))
        if kept:
            kept.parent.mkdir(parents=True, exist_ok=True)
            torch.save(trainer.get_quantizer().state_dict(), kept)
        return trainer.get_quantizer()
    ours = train_quantizer(frames(dim, 12_000, draw), codebooks, rounds=3, phases=2, width=1)
    made = reference.Quantizer(dim=dim, codebook_size=ours.entries, num_codebooks=codebooks)
    made.centers.data.copy_(ours.centres)
    made.centers.data[0] += ours.mean
    x = frames(dim, 12_000, draw)
    codes = ours.encode(x, 1, 1)
    adam = torch.optim.Adam([*made.to_logits.parameters(), made.logits_scale], lr=5e-3)
    for _ in range(8):
        for part, code in zip(x.split(600), codes.split(600), strict=True):
            logits = made._logits(part).view(len(part), codebooks, -1)
            loss = torch.nn.functional.cross_entropy(logits.transpose(1, 2), code)
            adam.zero_grad()
            loss.backward()
            adam.step()
    return made


def error(x: Tensor, centres: Tensor, codes: Tensor) -> float:
    chosen = centres[torch.arange(centres.shape[0]), codes.long()].double().sum(dim=1)
    return float((x.double() - chosen).square().sum() / (x - x.mean(dim=0)).double().square().sum())


def compare(dim: int, codebooks: int, steps: int, batch: int, keep: Path | None, count: int, rounds: int) -> None:
    reference = trained(dim, codebooks, steps, batch, keep)
    centres = reference.get_centers().detach().float()
    ours, x = Quantizer(centres), frames(dim, count, torch.Generator().manual_seed(2))
    ways: dict[str, Callable[[], Tensor]] = {
        f"reference, {n} refinements": lambda n=n: reference.encode(x, refine_indexes_iters=n, as_bytes=False)
        for n in (5, 1)
    }
    ways |= {f"omnipatch, {w} states": lambda w=w, s=s: ours.encode(x, width=w, sweeps=s) for w, s in SEARCHES}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, float] = {}
    with torch.no_grad():
        ours.encode(x[:8])  # makes its tables once
        for _ in range(rounds):
            for name, way in ways.items():
                start = time.process_time()
                codes = way()
                seconds[name].append(time.process_time() - start)
                found[name] = error(x, centres, codes)
    first = next(iter(ways))
    print(f"\ndim {dim}, {codebooks} codebooks of {centres.shape[1]}, {count} frames")
    print(f"{'':28s} {'frames/s':>9s} {'x reference':>24s} {'relative error':>15s}")
    for name in ways:
        ratios = [a / b for a, b in zip(seconds[first], seconds[name], strict=True)]
        ratio = f"{statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"
        print(
            f"{name:28s} {count / statistics.median(seconds[name]):9.0f} {ratio:>24s} {found[name]:15.5f}", flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("path", type=Path, help="checkout of multi_quantization")
    parser.add_argument("--steps", type=int, default=0, help="train with the reference's own trainer")
    parser.add_argument("--batch", type=int, default=600, help="frames a step of it")
    parser.add_argument("--keep", type=Path, help="folder for what that trainer learned")
    parser.add_argument("--size", choices=[f"{dim}x{n}" for dim, n in SIZES], help="dim x codebooks; default: both")
    parser.add_argument("--frames", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    sys.path.insert(0, str(options.path))
    # only its file reader needs h5py, which it imports at once
    sys.modules.setdefault("h5py", types.ModuleType("h5py"))
    for dim, codebooks in SIZES:
        if options.size in (None, f"{dim}x{codebooks}"):
            compare(dim, codebooks, options.steps, options.batch, options.keep, options.frames, options.rounds)


if __name__ == "__main__":
    main()
