"""One ECG-JEPA pretraining step of omnipatch against kweimann/ECG-JEPA, side by side.

    OMP_NUM_THREADS=2 python benchmarks/ecg_jepa.py PATH_TO_CHECKOUT [--batch 32] [--rounds 7]

Both sides: 12 leads x 5000 samples, 200 tokens of 25 samples, encoder 384 wide, 8 deep, 6 heads (`ViTS_all`), 15 to
25 % of the tokens visible; forward, backward, optimiser, EMA. Masks are drawn inside the timed step on our side and
precomputed for the peer (its collator runs in loader workers), which favours the peer. Records are in memory.

Rows
- peer, as shipped: float32 (its script refuses mixed precision on a CPU), its own attention, plain AdamW.
- peer, bf16: the same model under autocast, for equal precision.
- omnipatch, as shipped: bf16, predictor 192 x 4. omnipatch, equal predictor: predictor 192 x 8 as the peer's.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import sys
from pathlib import Path

import torch
from bench import OWN, pretraining_step, print_tables, race, serve

TOKENS, SAMPLES, LEADS = 200, 25, 12


def ours(batch: int, precision: str, predictor_depth: int):
    from omnipatch.core.blocks.registry import build
    from omnipatch.core.config import OptimizerConfig
    from omnipatch.core.objective import Objective
    from omnipatch.core.sequence import PatchSequence, SequenceSpec
    from omnipatch.core.train.optimizer import build_adamw

    spec = SequenceSpec(axes=("time_s",), axis_scales=(0.05,), patch_shape=(LEADS, SAMPLES), sfreq_hz=500.0, unit="mV")
    encoder = build("encoder", {"name": "transformer", "width": 384, "depth": 8, "heads": 6, "registers": 1}, spec)
    options = {
        "name": "jepa",
        "views": {"context": {"mask": {"name": "span", "span": 0.5, "ratio": [0.75, 0.85]}}},
        "heads": {"predictor": {"width": 192, "depth": predictor_depth, "heads": 6}},
        "terms": {"latent": {"loss": "l1"}},
    }
    objective = Objective.from_config(options, spec, encoder)
    objective.total_steps = 1000
    optimizer = build_adamw(objective, OptimizerConfig(lr=1e-3, weight_decay=0.01, betas=(0.9, 0.99)))
    coords = (torch.arange(TOKENS) * 0.05)[None, :, None].expand(batch, -1, -1)
    data = PatchSequence.build(
        spec, coords, values=torch.randn(batch, TOKENS, LEADS * SAMPLES), window=torch.arange(batch)
    )
    mixed = functools.partial(torch.autocast, "cpu", torch.bfloat16, enabled=precision == "bf16")
    return pretraining_step(objective, optimizer, data, 0, mixed)


def peer(checkout: Path, batch: int, precision: str):
    import importlib.util

    sys.path.insert(0, str(checkout))
    import configs
    from models.JEPA import JEPA
    from utils.schedules import linear_schedule

    # its data package imports h5py; only the mask sampler is needed
    where = importlib.util.spec_from_file_location("peer_masks", checkout / "data" / "masks.py")
    assert where is not None
    assert where.loader is not None
    masks = importlib.util.module_from_spec(where)
    where.loader.exec_module(masks)

    config = configs.pretrain.Config(**configs.load_config_file(checkout / "configs" / "pretrain" / "ViTS_all.yaml"))
    momentum = linear_schedule(total_steps=100_000, start_value=0.998, final_value=0.9995, step=0)
    model = JEPA(config=config, momentum_schedule=momentum, use_sdp_kernel=False)
    optimizer = model.get_optimizer(fused=False)
    collate = masks.MaskCollator(config.patch_size, config.min_block_size, config.min_keep_ratio, config.max_keep_ratio)
    records = [torch.randn(LEADS, TOKENS * SAMPLES) for _ in range(batch)]
    batches = [collate(records) for _ in range(8)]
    state = {"step": 0}

    def step() -> None:
        x, visible, hidden = batches[state["step"] % len(batches)]
        mixed = torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()
        with mixed:
            loss = model(x, visible, hidden)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        state["step"] += 1

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=3, help="steps a round")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        side, precision, depth = args.worker.split(":")
        torch.manual_seed(0)
        step = ours(args.batch, precision, int(depth)) if side == "ours" else peer(args.checkout, args.batch, precision)
        serve(step, args.steps)
        return
    rows = {
        "peer, as shipped (fp32)": "peer:fp32:8",
        "peer, bf16": "peer:bf16:8",
        f"omnipatch, as shipped ({OWN})": f"ours:{OWN}:4",
        f"omnipatch, equal predictor ({OWN})": f"ours:{OWN}:8",
        "omnipatch, equal predictor (fp32)": "ours:fp32:8",
    }
    base = [__file__, str(args.checkout), "--batch", str(args.batch), "--steps", str(args.steps)]
    contestants = race(base, rows, args.rounds)
    print(f"batch {args.batch}, {args.rounds} rounds of {args.steps} steps, {torch.get_num_threads()} threads")
    print_tables(contestants, ("peer, as shipped (fp32)", "peer, bf16"), args.batch)


if __name__ == "__main__":
    main()
