"""How much of the machine's matrix throughput a training step uses, and where the rest goes.

    OMP_NUM_THREADS=2 python benchmarks/roofline.py [--width 384 --depth 12 --batch 32 --tokens 200]

Model FLOPs are the matrix products of forward and backward as counted by torch (no recomputation, no elementwise
work). The ceiling is a large matrix product timed in the same run, in alternation with the step: in bf16 where that is
fast, else all of it is in float32. The contrast row is a plain loop of the same size: torch.nn.TransformerEncoderLayer
blocks, under autocast where that is bf16, with the default AdamW.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Callable

import torch
from bench import FAST_BF16, OWN
from omnipatch.core.blocks.registry import build
from omnipatch.core.config import OptimizerConfig
from omnipatch.core.sequence import PatchSequence, SequenceSpec
from omnipatch.core.train.optimizer import build_adamw
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

GROUPS = {
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "mkldnn"),
    "softmax": ("softmax",),
    "layer norm": ("layer_norm",),
    "gelu": ("gelu",),
    "copies and casts": ("copy_", "cat", "clone"),
    "optimiser": ("adam", "lerp"),
}


def timed(step: Callable[[], None]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def training_step(model: nn.Module, forward: Callable[[], Tensor], optimizer: torch.optim.Optimizer):
    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=FAST_BF16):
            y = forward()
        y.float().square().mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def breakdown(step: Callable[[], None]) -> dict[str, float]:
    """Share of self time by kind of work."""
    with profile(activities=[ProfilerActivity.CPU]) as prof:
        step()
    shares: dict[str, float] = defaultdict(float)
    for event in prof.key_averages():
        key = event.key.lower()
        group = next((g for g, words in GROUPS.items() if any(w in key for w in words)), "other elementwise, overhead")
        shares[group] += event.self_cpu_time_total
    total = sum(shares.values())
    return {g: v / total for g, v in sorted(shares.items(), key=lambda item: -item[1])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--depth", type=int, default=12)
    parser.add_argument("--heads", type=int, default=6)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    torch.manual_seed(0)

    spec = SequenceSpec(axes=("time_s",), axis_scales=(0.05,), patch_shape=(12, 25))
    coords = (torch.arange(args.tokens) * 0.05)[None, :, None].expand(args.batch, -1, -1)
    batch = PatchSequence.build(spec, coords, values=torch.randn(args.batch, args.tokens, spec.patch_size))
    size = {"width": args.width, "depth": args.depth, "heads": args.heads}
    encoder = build("encoder", {"name": "transformer", **size}, spec)
    ours = training_step(
        encoder,
        lambda: encoder(batch).tokens,
        build_adamw(encoder, OptimizerConfig(lr=1e-4, weight_decay=0.05, betas=(0.9, 0.95))),
    )

    layers = nn.Sequential(
        nn.Linear(spec.patch_size, args.width),
        *(
            nn.TransformerEncoderLayer(
                args.width, args.heads, 4 * args.width, 0.0, "gelu", batch_first=True, norm_first=True
            )
            for _ in range(args.depth)
        ),
    )
    values = batch.values
    plain = training_step(layers, lambda: layers(values), torch.optim.AdamW(layers.parameters(), lr=1e-4))

    with FlopCounterMode(display=False) as counter:
        ours()
    flops = counter.get_total_flops()
    a = torch.randn(2048, 2048, dtype=torch.bfloat16 if FAST_BF16 else torch.float32)
    product = 2 * 2048**3

    def ceiling() -> None:
        for _ in range(8):
            a @ a

    rates: dict[str, list[float]] = {"ours": [], "plain": [], "ceiling": []}
    plain()
    for _ in range(args.rounds):
        rates["ceiling"].append(8 * product / timed(ceiling) / 1e9)
        rates["ours"].append(flops / timed(ours) / 1e9)
        rates["plain"].append(flops / timed(plain) / 1e9)

    print(f"{args.width} x {args.depth}, batch {args.batch} x {args.tokens} tokens, {torch.get_num_threads()} threads")
    print(f"model FLOPs a step: {flops / 1e12:.3f} T")
    top = statistics.median(rates["ceiling"])
    print(f"{OWN} matrix product 2048^3: {top:.0f} GFLOP/s")
    for name, label in (("ours", "omnipatch step"), ("plain", "plain loop")):
        share = statistics.median(r / c for r, c in zip(rates[name], rates["ceiling"], strict=True))
        print(f"{label:20s} {statistics.median(rates[name]):7.0f} GFLOP/s = {100 * share:.1f} % of it")
    print("where a step's time goes:")
    for group, share in breakdown(ours).items():
        print(f"  {group:28s} {100 * share:5.1f} %")


if __name__ == "__main__":
    main()
