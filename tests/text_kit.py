"""Texts and signals small enough to align in a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from omnipatch.core.blocks.registry import build
from omnipatch.core.objective import Objective
from omnipatch.core.sequence import PatchSequence, SequenceSpec

SPEC = SequenceSpec(axes=("time_s",), patch_shape=(4,), sfreq_hz=4.0, kinds=("patch", "beat"))
TEXTS = (
    "Sinus rhythm. Normal ECG.", "Atrial fibrillation; irregular beats", "Sinus rhythm. Normal ECG.", "",
    "Sinus bradycardia. QRS 0.12 s.", "Ventricular premature beats. Sinus rhythm.",
)  # fmt: skip
SMALL_TEXT: dict[str, Any] = {"name": "transformers", "width": 16, "depth": 1, "heads": 2, "max_tokens": 24}


def signals(record: list[int], patches: int = 6, seed: int = 0, beats: bool = True) -> PatchSequence:
    """One row a record; what a row looks like depends on its record. The last two patches are beats."""
    rng = torch.Generator().manual_seed(seed)
    shapes = torch.randn(len(TEXTS), 1, 4, generator=torch.Generator().manual_seed(1))
    values = shapes[torch.tensor(record).clamp(min=0)] + 0.3 * torch.randn(len(record), patches, 4, generator=rng)
    kind = torch.zeros(len(record), patches, dtype=torch.long)
    kind[:, -2:] = int(beats)
    return PatchSequence.build(
        SPEC, torch.arange(patches).float().expand(len(record), -1).unsqueeze(-1), values=values, kind=kind,
        record=torch.tensor(record), window=torch.arange(len(record)), subject=torch.tensor(record),
    )  # fmt: skip


def small_encoder(seed: int = 0):
    torch.manual_seed(seed)
    return build("encoder", {"name": "transformer", "width": 16, "depth": 1, "heads": 2}, SPEC)


def report_objective(texts: tuple[str, ...] | Path = TEXTS, **text: Any) -> Objective:
    """The shipped composition with small parts."""
    encoder = small_encoder()
    options = {
        "name": "report",
        "text": {**SMALL_TEXT, **text},
        "heads": {"record": {"out": 16, "hidden": 16}, "token": {"out": 16, "hidden": 16},
                  "captioner": {"width": 16, "depth": 1, "heads": 2}, "decoder": {"width": 12, "depth": 1}},
        "targets": {"report": {"out": 16}, "sentences": {"out": 16}},
    }  # fmt: skip
    objective = Objective.from_config(options, SPEC, encoder, texts)
    objective.augment = lambda batch, rng: batch
    return objective
