"""Attention shares are those of the encoder's own forward pass, and rollout follows them to the patches."""

from __future__ import annotations

import pytest
import torch
from blocks_kit import batch, encoder, insert_invalid
from omnipatch import InputError
from omnipatch.core.blocks.attention import Attention
from omnipatch.core.blocks.attention_maps import attention_maps, rollout
from omnipatch.core.blocks.encoder import Encoder


@pytest.mark.parametrize("positions", ["fourier", "rotary"])
@pytest.mark.parametrize("registers", [0, 3])
def test_shares_mix_values_into_what_the_layer_gave(positions, registers):
    made = encoder(positions=positions, registers=registers)
    given, answers = [], []
    layers = [m for m in made.modules() if isinstance(m, Attention)]
    for layer in layers:
        layer.register_forward_pre_hook(lambda m, x: given.append(x))
        layer.register_forward_hook(lambda m, x, y: answers.append(y))
    maps = attention_maps(made, batch())
    assert maps.shape == (2, 6, 2, 12 + registers, 12 + registers)
    for layer, share, x, y in zip(layers, maps, given, answers, strict=True):
        value = layer.split(x[0], None)[2]
        mixed = layer.out((share @ value).transpose(1, 2).reshape(x[0].shape))
        torch.testing.assert_close(mixed, y, atol=1e-5, rtol=1e-5)


def test_shares_sum_to_one_and_invalid_patches_get_none():
    padded, now = insert_invalid(batch(), [0, 5])
    maps = attention_maps(encoder(), padded)
    torch.testing.assert_close(maps.sum(dim=-1), torch.ones(maps.shape[:-1]))
    assert not maps[..., [i for i in range(padded.n_patches) if i not in now.tolist()]].any()
    torch.testing.assert_close(maps[:, :, :, now][..., now], attention_maps(encoder(), batch()), atol=1e-5, rtol=1e-4)


def test_the_encoder_is_left_as_it_was():
    made = encoder().train()
    before = made(batch()).tokens
    attention_maps(made, batch())
    assert made.training
    assert not [hook for m in made.modules() for hook in m._forward_pre_hooks]
    torch.testing.assert_close(made(batch()).tokens, before, atol=0, rtol=0)


def test_an_encoder_without_attention_says_so():
    class Plain(Encoder):
        def encode(self, batch, index, keep_layers):
            return None

    with pytest.raises(InputError, match="no attention to look at"):
        attention_maps(Plain(batch().spec), batch())


class TestRollout:
    def test_equal_shares_everywhere(self):
        flow = rollout(torch.full((3, 2, 4, 5, 5), 0.2), 5)
        own = 0.5**3  # the part that stays on the residual path of each layer
        torch.testing.assert_close(flow[0], own * torch.eye(5) + (1 - own) * torch.full((5, 5), 0.2))

    def test_a_chain_is_followed_through_the_layers(self):
        # patch 2 looks at 1, and 1 at 0, in every layer: after two layers a quarter of 2 came from 0
        step = torch.tensor([[1.0, 0, 0], [1, 0, 0], [0, 1, 0]])
        torch.testing.assert_close(rollout(step.expand(2, 1, 1, 3, 3), 3)[0, 2], torch.tensor([0.25, 0.5, 0.25]))

    def test_rows_sum_to_one_without_registers_and_to_less_with(self):
        made = batch()
        torch.testing.assert_close(rollout(attention_maps(encoder(), made), 12).sum(-1), torch.ones(6, 12))
        less = rollout(attention_maps(encoder(registers=2), made), 12)
        assert less.shape == (6, 12, 12)
        assert (less.sum(-1) < 1).all()
