"""MAMP's numbers in our blocks: its parameters under its own names, and one loss on given weights and masks.

The published network has learned tables for time and joint where ours reads coordinates; `Table` puts them in that
place, everything else is what the recipe builds.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from omnipatch.core.blocks.registry import build
from omnipatch.core.blocks.views import IndexSet, View
from omnipatch.core.objective import Objective
from omnipatch.core.sequence import PatchSequence, SequenceSpec
from torch import Tensor, nn


@dataclass(frozen=True)
class Shape:
    """Size of a clip and of the networks."""

    frames: int = 24
    joints: int = 5
    patch: int = 4
    width: int = 16
    depth: int = 2
    decoder_depth: int = 2
    heads: int = 4

    @property
    def steps(self) -> int:
        return self.frames // self.patch

    @property
    def spec(self) -> SequenceSpec:
        return SequenceSpec(axes=("time", "joint"), patch_shape=(3, self.patch), sfreq_hz=float(self.patch))


def weights(shape: Shape, seed: int = 0) -> dict[str, Tensor]:
    """Random parameters with the names and shapes of a checkpoint of MAMP, in float64."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator, dtype=torch.float64) * 0.3

    width, made = shape.width, {}
    made["joints_embed.proj.weight"], made["joints_embed.proj.bias"] = normal(width, 3, shape.patch, 1), normal(width)
    for side, prefix, depth in (("", "blocks", shape.depth), ("decoder_", "decoder_blocks", shape.decoder_depth)):
        made[f"{side}temp_embed"] = normal(1, shape.steps, 1, width)
        made[f"{side}pos_embed"] = normal(1, 1, shape.joints, width)
        norms = [f"{prefix}.{i}.norm{n}" for i in range(depth) for n in (1, 2)] + [f"{side}norm"]
        for name in norms:
            made[f"{name}.weight"], made[f"{name}.bias"] = 1.0 + normal(width), normal(width)
        for i in range(depth):
            for name, out, enter in (
                ("attn.qkv", 3 * width, width),
                ("attn.proj", width, width),
                ("mlp.fc1", 4 * width, width),
                ("mlp.fc2", width, 4 * width),
            ):
                made[f"{prefix}.{i}.{name}.weight"] = normal(out, enter)
                made[f"{prefix}.{i}.{name}.bias"] = normal(out)
    made["decoder_embed.weight"], made["decoder_embed.bias"] = normal(width, width), normal(width)
    made["mask_token"] = normal(1, 1, width)
    made["decoder_pred.weight"], made["decoder_pred.bias"] = normal(3 * shape.patch, width), normal(3 * shape.patch)
    return made


class Table(nn.Module):
    """coords [row, patch, (step, joint)] -> sum of the two learned vectors of each place."""

    def __init__(self, times: Tensor, joints: Tensor) -> None:
        super().__init__()
        self.times, self.joints = nn.Parameter(times.flatten(0, 2)), nn.Parameter(joints.flatten(0, 2))

    def forward(self, coords: Tensor) -> Tensor:
        step, joint = coords.round().long().unbind(-1)
        return self.times[step] + self.joints[joint]


def objective(shape: Shape, state: dict[str, Tensor]) -> Objective:
    """Our MAMP objective with MAMP's parameters in it, in their precision."""
    size = {"width": shape.width, "heads": shape.heads}
    net = build("encoder", {"name": "transformer", "depth": shape.depth, **size}, shape.spec)
    made = Objective.from_config(
        {
            "name": "mamp",
            "heads": {"decoder": {"depth": shape.decoder_depth, **size}},
            "targets": {"movement": {"end": "zero"}},
        },
        shape.spec,
        net,
    )
    decoder = made.heads["decoder"]
    net.positions = Table(state["temp_embed"], state["pos_embed"])
    decoder.positions = Table(state["decoder_temp_embed"], state["decoder_pos_embed"])
    made.to(state["mask_token"].dtype)
    of_patch = torch.arange(3 * shape.patch).view(shape.patch, 3).T.flatten()  # theirs are frame by frame
    own = {
        "embed.project.weight": state["joints_embed.proj.weight"].flatten(1),
        "embed.project.bias": state["joints_embed.proj.bias"],
        "norm.weight": state["norm.weight"],
        "norm.bias": state["norm.bias"],
        **_blocks(state, "blocks.", shape.depth),
    }
    net.load_state_dict(own, strict=False)
    answers = {
        "ask": state["mask_token"][0],
        "leave.weight": state["decoder_pred.weight"][of_patch],
        "leave.bias": state["decoder_pred.bias"][of_patch],
        **_blocks(state, "decoder_blocks.", shape.decoder_depth),
    }
    for ours, theirs in (("enter", "decoder_embed"), ("norm", "decoder_norm")):
        for part in ("weight", "bias"):
            answers[f"{ours}.{part}"] = state[f"{theirs}.{part}"]
    decoder.load_state_dict(answers, strict=False)
    return made


_RENAMED = {"attn.qkv": "attention.qkv", "attn.proj": "attention.out", "mlp.fc1": "mlp.0", "mlp.fc2": "mlp.2"}


def _blocks(state: dict[str, Tensor], prefix: str, depth: int) -> dict[str, Tensor]:
    names = {**_RENAMED, "norm1": "norm1", "norm2": "norm2"}
    return {
        f"blocks.{i}.{ours}.{part}": state[f"{prefix}{i}.{theirs}.{part}"]
        for i in range(depth)
        for theirs, ours in names.items()
        for part in ("weight", "bias")
    }


def tokens(shape: Shape, clips: Tensor) -> PatchSequence:
    """[clip, 3, frame, joint] as joint tokens, time after time."""
    patches = clips.unfold(2, shape.patch, shape.patch)  # [clip, 3, step, joint, frame]
    values = patches.permute(0, 2, 3, 1, 4).flatten(3).flatten(1, 2)
    place = torch.cartesian_prod(torch.arange(shape.steps), torch.arange(shape.joints)).to(clips.dtype)
    return PatchSequence.build(shape.spec, place.expand(len(clips), -1, -1), values=values)


def loss(made: Objective, shape: Shape, clips: Tensor, removed: Tensor) -> Tensor:
    """Our loss of [clip, 3, frame, joint] where `removed` [clip, token] bool is hidden, as many in each clip."""
    order = removed.long().argsort(dim=1, stable=True)
    shown = int((~removed[0]).sum())
    sides = [IndexSet(part, torch.ones_like(part, dtype=torch.bool)) for part in (order[:, :shown], order[:, shown:])]
    made.views["context"] = lambda batch, rng, augment: View(batch, None, *sides)  # type: ignore[assignment]
    return made(tokens(shape, clips), 0, 0, taps=False).loss
