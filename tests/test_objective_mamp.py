"""MAMP: our loss on given weights and masks is the published one.

Against formulas written out here, always; against a checkout of maoyunyao/MAMP where `OMNIPATCH_MAMP` names its folder:

    OMNIPATCH_MAMP=PATH pytest -s tests/test_objective_mamp.py

Measured there in float32 (commit 09e6252, torch 2): 1.4268341 on the small shape and 2.5280404 on its own (120 x 25,
8 + 5 blocks), the same seven digits on both sides.
"""

from __future__ import annotations

import importlib
import math
import os
import sys

import mamp_kit
import pytest
import torch
from mamp_kit import Shape
from omnipatch.core.blocks.registry import build
from omnipatch.core.rng import RowRandom
from torch import Tensor

CHECKOUT = os.environ.get("OMNIPATCH_MAMP", "")


def walks(count: int, shape: Shape, seed: int = 0) -> Tensor:
    """[clip, 3, frame, joint] of random walks, joints of different liveliness."""
    generator = torch.Generator().manual_seed(seed)
    steps = 0.02 * torch.randn(count, 3, shape.frames, shape.joints, generator=generator)
    return (steps * torch.linspace(0.1, 2.0, shape.joints)).cumsum(dim=2)


# ---- formulas, written out ----------------------------------------------------------------------------------------


def norm(w, name, x):
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * w[f"{name}.weight"] + w[f"{name}.bias"]


def linear(w, name, x):
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def transformer(w, name, depth, heads, x):
    """[token, width] through pre-norm blocks, head by head."""
    size = x.shape[1] // heads
    for i in range(depth):
        block = f"{name}.{i}"
        q, k, v = linear(w, f"{block}.attn.qkv", norm(w, f"{block}.norm1", x)).chunk(3, dim=1)
        parts = []
        for h in range(heads):
            own = slice(h * size, (h + 1) * size)
            odds = (q[:, own] @ k[:, own].T / math.sqrt(size)).exp()
            parts.append(odds / odds.sum(1, keepdim=True) @ v[:, own])
        x = x + linear(w, f"{block}.attn.proj", torch.cat(parts, dim=1))
        inner = linear(w, f"{block}.mlp.fc1", norm(w, f"{block}.norm2", x))
        x = x + linear(w, f"{block}.mlp.fc2", inner * 0.5 * (1 + torch.erf(inner / math.sqrt(2))))
    return x


def published(w, shape, clip, removed):
    """Loss of one clip [3, frame, joint]: sum over removed tokens, to be divided by their number."""
    grid = [(t, v) for t in range(shape.steps) for v in range(shape.joints)]
    place = lambda side: [w[f"{side}temp_embed"][0, t, 0] + w[f"{side}pos_embed"][0, 0, v] for t, v in grid]  # noqa: E731
    kernel, bias = w["joints_embed.proj.weight"], w["joints_embed.proj.bias"]
    seen = []
    for i, (t, v) in enumerate(grid):
        if not removed[i]:
            patch = clip[:, t * shape.patch : (t + 1) * shape.patch, v]
            seen.append((kernel[..., 0] * patch).sum((1, 2)) + bias + place("")[i])
    seen = norm(w, "norm", transformer(w, "blocks", shape.depth, shape.heads, torch.stack(seen)))
    seen = iter(linear(w, "decoder_embed", seen))
    asked = torch.stack(
        [(w["mask_token"][0, 0] if removed[i] else next(seen)) + p for i, p in enumerate(place("decoder_"))]
    )
    x = transformer(w, "decoder_blocks", shape.decoder_depth, shape.heads, asked)
    answers = linear(w, "decoder_pred", norm(w, "decoder_norm", x))
    total = torch.zeros((), dtype=clip.dtype)
    for i, (t, v) in enumerate(grid):
        if not removed[i]:
            continue
        goal = []
        for frame in range(t * shape.patch, (t + 1) * shape.patch):
            last = frame == shape.frames - 1
            goal += [torch.zeros(3, dtype=clip.dtype) if last else clip[:, frame + 1, v] - clip[:, frame, v]]
        goal = torch.cat(goal)
        var = (goal - goal.mean()).square().sum() / (len(goal) - 1)
        goal = (goal - goal.mean()) / (var + 1e-6).sqrt()
        total = total + (answers[i] - goal).square().mean()
    return total


@pytest.mark.parametrize("ratio", [0.9, 0.5])
def test_the_loss_is_that_of_the_published_formulas(ratio):
    shape = Shape()
    w, clips = mamp_kit.weights(shape), walks(3, shape).double()
    made = mamp_kit.objective(shape, w)
    count = shape.steps * shape.joints
    removed = torch.stack([torch.randperm(count, generator=torch.Generator().manual_seed(i)) for i in range(3)])
    removed = removed < round(ratio * count)
    slow = sum(published(w, shape, clip, gone) for clip, gone in zip(clips, removed, strict=True)) / removed.sum()
    ours = mamp_kit.loss(made, shape, clips, removed)
    # targets are float32 in the objective, whatever the precision of the weights
    assert float(ours.detach()) == pytest.approx(float(slow), abs=1e-5)


def test_the_loss_sees_every_part_of_the_published_formulas():
    """A changed mask, weight or clip is a changed loss, so the comparison above can fail."""
    shape = Shape()
    w, clips = mamp_kit.weights(shape), walks(1, shape).double()
    removed = torch.arange(shape.steps * shape.joints)[None] % 3 > 0
    before = float(mamp_kit.loss(mamp_kit.objective(shape, w), shape, clips, removed).detach())
    for name in w:
        bent = {**w, name: w[name] + 0.1 * torch.rand(w[name].shape, generator=torch.Generator().manual_seed(0))}
        after = float(mamp_kit.loss(mamp_kit.objective(shape, bent), shape, clips, removed).detach())
        assert abs(after - before) > 1e-5, name


# ---- the checkout -------------------------------------------------------------------------------------------------


@pytest.fixture
def network():
    """`network(shape)` builds the checkout's model with the options of its published configuration."""
    if not CHECKOUT:
        pytest.skip("OMNIPATCH_MAMP names no checkout of MAMP")
    sys.path.insert(0, CHECKOUT)
    try:
        transformer = importlib.import_module("model_mamp.transformer")
    finally:
        sys.path.remove(CHECKOUT)

    def build_network(shape: Shape):
        torch.manual_seed(0)
        size = {"dim_feat": shape.width, "decoder_dim_feat": shape.width, "num_heads": shape.heads}
        depth = {"depth": shape.depth, "decoder_depth": shape.decoder_depth}
        clip = {"num_frames": shape.frames, "num_joints": shape.joints, "t_patch_size": shape.patch}
        return transformer.Transformer(**size, **depth, **clip, qkv_bias=True, norm_skes_loss=True)

    return build_network


@pytest.mark.parametrize(
    "shape", [Shape(), Shape(frames=120, joints=25, width=256, depth=8, decoder_depth=5, heads=8)], ids=["small", "8+5"]
)
def test_the_loss_is_that_of_the_checkout(network, shape):
    theirs, clips = network(shape), walks(2, shape)
    with torch.no_grad():
        expected, _, gone = theirs(clips.unsqueeze(-1), mask_ratio=0.9, motion_stride=1, motion_aware_tau=0.8)
        ours = mamp_kit.loss(mamp_kit.objective(shape, theirs.state_dict()), shape, clips, gone.bool())
    print(f"MAMP {float(expected):.7f}, omnipatch {float(ours):.7f}, difference {float(ours - expected):.1e}")
    assert float(ours) == pytest.approx(float(expected), abs=1e-5)


def test_patches_are_hidden_as_often_as_by_the_checkout(network):
    shape, rows = Shape(frames=12, joints=4), 20_000
    clip = walks(1, shape)
    theirs = network(shape)
    patches = theirs.patchify(clip.permute(0, 2, 3, 1)).view(1, 3, 4, -1).expand(rows, -1, -1, -1)
    torch.manual_seed(0)
    _, gone, _, _ = theirs.motion_aware_random_masking(torch.zeros(rows, 12, 1), patches, 0.5, 0.8)
    made = mamp_kit.tokens(shape, clip.expand(rows, -1, -1, -1)).replace(window=torch.arange(rows))
    sampler = build("mask", {"name": "motion", "ratio": 0.5, "tau": 0.8, "against": "before"})
    view = sampler(made, RowRandom(0, 0, made.window))
    ours = torch.zeros(12).scatter_add(0, view.targets.index.flatten(), torch.ones(rows * 6)) / rows
    torch.testing.assert_close(ours, gone.mean(0), atol=0.015, rtol=0)
    assert gone.mean(0).std() > 0.05  # not all alike
