"""One attention, two ways to compute it."""

from __future__ import annotations

import pytest
import torch
from omnipatch.core.blocks import attention
from omnipatch.core.blocks.attention import Attention, Block, attend, key_bias, rotate
from torch.nn import functional as F


def _slow(q, k, v, bias):
    scores = torch.einsum("bhqd,bhkd->bhqk", q, k) / q.shape[-1] ** 0.5
    return (scores if bias is None else scores + bias).softmax(-1) @ v


def _qkv(dtype, patches=17):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, 3, patches, 8, generator=generator).to(dtype).requires_grad_() for _ in range(3)]


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("limit", [0, 512])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_both_ways_give_softmax_attention_and_its_gradient(dtype, limit, padded, monkeypatch):
    monkeypatch.setattr(attention, "PLAIN_LIMIT", limit)
    valid = torch.ones(2, 17, dtype=torch.bool)
    if padded:
        valid[0, 11:] = False
    bias = key_bias(valid)
    ours, slow = _qkv(dtype), [t.detach().float().requires_grad_() for t in _qkv(dtype)]
    y, expected = attend(*ours, bias), _slow(*slow, bias)
    tolerance = {"atol": 1e-5, "rtol": 1e-5} if dtype == torch.float32 else {"atol": 3e-2, "rtol": 3e-2}
    torch.testing.assert_close(y.float(), expected, **tolerance)
    weight = torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    (y.float() * weight).sum().backward()
    (expected * weight).sum().backward()
    for a, b in zip(ours, slow, strict=True):
        torch.testing.assert_close(a.grad.float(), b.grad, **tolerance)


def test_plain_way_is_taken_on_cpu_in_bf16_only(monkeypatch):
    called = []
    original = F.scaled_dot_product_attention
    monkeypatch.setattr(
        attention.F, "scaled_dot_product_attention", lambda *a, **k: called.append(1) or original(*a, **k)
    )
    attend(*_qkv(torch.bfloat16))
    assert not called
    attend(*_qkv(torch.float32))
    attend(*_qkv(torch.bfloat16, patches=attention.PLAIN_LIMIT + 1))
    assert len(called) == 2


def test_bias_is_none_without_padding_and_hides_keys_with_it():
    assert key_bias(torch.ones(2, 4, dtype=torch.bool)) is None
    valid = torch.tensor([[True, True, False], [True, True, True]])
    q, k, v = _qkv(torch.float32, patches=3)
    y = attend(q, k, v, key_bias(valid))
    short = attend(q[:1], k[:1, :, :2], v[:1, :, :2])
    torch.testing.assert_close(y[:1], short)


def test_a_row_without_any_valid_key_is_finite():
    q, k, v = _qkv(torch.float32, patches=3)
    assert torch.isfinite(attend(q, k, v, key_bias(torch.zeros(2, 3, dtype=torch.bool)))).all()


def test_rotation_keeps_lengths_and_makes_scores_relative():
    angles = torch.linspace(0, 3, 5)[None, None, :, None] * torch.tensor([1.0, 0.3])
    x, y = torch.randn(1, 1, 5, 4), torch.randn(1, 1, 5, 4)
    rotated = rotate(x, angles.cos(), angles.sin())
    torch.testing.assert_close(rotated.norm(dim=-1), x.norm(dim=-1))
    moved = angles + 0.7 * torch.tensor([1.0, 0.3])
    a = rotated @ rotate(y, angles.cos(), angles.sin()).mT
    b = rotate(x, moved.cos(), moved.sin()) @ rotate(y, moved.cos(), moved.sin()).mT
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_attention_agrees_with_torch_multihead():
    torch.manual_seed(0)
    ours, theirs = Attention(12, 3), torch.nn.MultiheadAttention(12, 3, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.qkv.weight)
        theirs.in_proj_bias.copy_(ours.qkv.bias)
        theirs.out_proj.weight.copy_(ours.out.weight)
        theirs.out_proj.bias.copy_(ours.out.bias)
    x = torch.randn(2, 5, 12)
    torch.testing.assert_close(ours(x), theirs(x, x, x, need_weights=False)[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("padded", [False, True])
def test_a_block_that_answers_for_the_last_patches_says_of_them_what_a_whole_one_says(padded):
    torch.manual_seed(0)
    block, x = Block(16, 2), torch.randn(3, 9, 16)
    valid = torch.arange(9) != 2 if padded else torch.ones(9, dtype=torch.bool)
    angles = torch.randn(3, 1, 9, 4)
    rest = key_bias(valid.expand(3, -1)), (angles.cos(), angles.sin())
    torch.testing.assert_close(block(x, *rest, start=4), block(x, *rest)[:, 4:])
