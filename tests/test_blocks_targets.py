"""Target providers against slow references, and what they remember between steps."""

from __future__ import annotations

import math

import pytest
import torch
from blocks_kit import SPEC, batch, encoder
from omnipatch.core.blocks.registry import build
from omnipatch.core.blocks.targets import Request, normalize_tokens
from omnipatch.core.blocks.views import IndexSet, View
from omnipatch.core.errors import InputError
from torch import nn


def request(made, index=None, rows=None, view=None):
    def encode(model, view, hide, keep_layers):
        shown = (view.rows, view.visible) if hide and view.visible is not None else (None, None)
        return model(view.batch, *shown, keep_layers)

    chosen = None if index is None else IndexSet(index, torch.ones_like(index, dtype=torch.bool))
    return Request(view or View(made), encode, rows, chosen)


def provider(options, model=None, heads=None):
    return build("target", options, SPEC, model or encoder(), heads or nn.ModuleDict())


INDEX = torch.tensor([[0, 3], [5, 2], [1, 4]])


# ---- from the signal ----------------------------------------------------------------------------------------------


def test_raw_standardises_each_sensor_of_each_patch():
    made = batch(3, 6)
    target = provider("raw")(request(made, INDEX))
    for row in range(3):
        for k in range(2):
            patch = made.values[row, INDEX[row, k]].view(2, 8).tolist()
            for sensor in range(2):
                x = patch[sensor]
                mean = sum(x) / 8
                var = sum((v - mean) ** 2 for v in x) / 8
                slow = [(v - mean) / math.sqrt(var + 1e-2) for v in x]
                got = target.values[row, k].view(2, 8)[sensor]
                torch.testing.assert_close(got, torch.tensor(slow), atol=1e-5, rtol=1e-5)


def test_raw_keeps_missing_numbers_missing_and_uses_the_others():
    made = batch(1, 2)
    values = made.values.clone()
    values[0, 0, 8:] = float("nan")  # a whole sensor
    values[0, 0, 3] = float("nan")  # one number of the other
    target = provider("raw")(request(made.replace(values=values), torch.tensor([[0]]))).values[0, 0]
    assert target[8:].isnan().all()
    assert target[:8].isnan().sum() == 1
    known = torch.cat([values[0, 0, :3], values[0, 0, 4:8]])
    expected = (known - known.mean()) / (known.var(unbiased=False) + 1e-2).sqrt()
    torch.testing.assert_close(torch.cat([target[:3], target[4:8]]), expected)


def test_raw_without_normalisation_is_the_patch_and_a_flat_patch_stays_small():
    made = batch(2, 3)
    plain = provider({"name": "raw", "normalize": False})(request(made, torch.tensor([[1], [2]])))
    assert torch.equal(plain.values[:, 0], made.values[torch.arange(2), torch.tensor([1, 2])])
    flat = made.replace(values=torch.full_like(made.values, 5.0) + 1e-4 * made.values)
    assert provider("raw")(request(flat, torch.tensor([[1], [2]]))).values.abs().max() < 0.01


def test_difference_is_the_loop():
    made = batch(1, 2)
    x = made.values[0, 1].view(2, 8)
    slow = torch.stack([torch.stack([x[s, max(t, 1)] - x[s, max(t, 1) - 1] for t in range(8)]) for s in range(2)])
    target = provider("difference")(request(made, torch.tensor([[1]])))
    torch.testing.assert_close(target.values[0, 0].view(2, 8), slow)


def test_multi_scale_gradient_is_the_loop_and_free_of_amplitude():
    made = batch(1, 1)
    block = provider({"name": "gradient", "radii": [1, 3], "eps": 1e-6})
    target = block(request(made, torch.tensor([[0]]))).values[0, 0].view(2, 2, 8)
    x = made.values[0, 0].view(2, 8).abs().tolist()
    for sensor in range(2):
        for scale, radius in enumerate((1, 3)):
            for t in range(8):
                right = sum(x[sensor][min(7, t + r)] for r in range(1, radius + 1)) / radius
                left = sum(x[sensor][max(0, t - r)] for r in range(1, radius + 1)) / radius
                assert float(target[sensor, scale, t]) == pytest.approx(
                    math.log((right + 1e-6) / (left + 1e-6)), abs=1e-4
                )
    loud = block(request(made.replace(values=7.0 * made.values), torch.tensor([[0]]))).values
    torch.testing.assert_close(loud[0, 0].view(2, 2, 8), target, atol=1e-3, rtol=1e-3)


def test_signal_targets_follow_the_lineage():
    made, rows = batch(3, 6), torch.tensor([2, 2, 0])
    target = provider({"name": "raw", "normalize": False})(request(made, INDEX, rows))
    assert torch.equal(target.values, made.values[rows.unsqueeze(1), INDEX])


# ---- from an encoder ----------------------------------------------------------------------------------------------


def test_layer_and_instance_normalisation_are_the_loops():
    tokens, valid = torch.randn(2, 5, 3), torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    layer = normalize_tokens(tokens, valid, "layer")
    x = tokens[1, 2]
    torch.testing.assert_close(layer[1, 2], (x - x.mean()) / (x.var(unbiased=False) + 1e-5).sqrt())
    dirty = tokens.masked_fill(~valid.unsqueeze(-1), float("nan"))
    instance = normalize_tokens(dirty, valid, "instance")
    for d in range(3):
        x = tokens[1, :3, d]
        torch.testing.assert_close(instance[1, :3, d], (x - x.mean()) / (x.var(unbiased=False) + 1e-6).sqrt())
    assert torch.isfinite(instance).all()


def test_ema_target_is_the_layer_normed_encoding():
    made, model = batch(3, 6), encoder()
    target = provider("ema", model)(request(made, INDEX))
    tokens = model(made).tokens[torch.arange(3).unsqueeze(1), INDEX]
    torch.testing.assert_close(target.values, torch.nn.functional.layer_norm(tokens, (32,)))
    assert not target.values.requires_grad


def test_ema_of_several_layers_is_their_mean():
    made, model = batch(3, 6), encoder(registers=2)
    target = provider({"name": "ema", "layers": 2, "normalize": "instance"}, model)(request(made, INDEX))
    layers = model(made, keep_layers=2).layers
    mean = sum(normalize_tokens(s, made.valid, "instance") for s in layers) / 2
    torch.testing.assert_close(target.values, mean[torch.arange(3).unsqueeze(1), INDEX])


@pytest.mark.parametrize("momentum", [0.0, 0.75, 1.0])
def test_ema_momentum_mixes_the_weights(momentum):
    """Momentum 1 is frozen, 0 is a copy."""
    model = encoder()
    block = provider({"name": "ema", "momentum": momentum}, model)
    before = [p.clone() for p in block.encoder.parameters()]
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p))
    block.after_step(0, 10)
    for old, new, online in zip(before, block.encoder.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(new, momentum * old + (1 - momentum) * online.detach())


def test_ema_is_not_trained_and_holds_only_its_own_weights():
    model = encoder()
    block = provider("ema", model)
    assert not any(p.requires_grad for p in block.parameters())
    assert len(block.state_dict()) == len(model.state_dict())


def test_pooled_targets_pass_through_the_heads_average():
    made, model = batch(3, 6), encoder()
    heads = nn.ModuleDict({"projector": build("head", {"name": "projector", "norm": "layer"}, SPEC, 32)})
    block = provider({"name": "ema", "head": "projector"}, model, heads)
    before = block(request(made)).values
    torch.testing.assert_close(before, heads["projector"](model(made).pooled))
    with torch.no_grad():
        heads["projector"].mlp[0].weight.zero_()
    torch.testing.assert_close(block(request(made)).values, before)


def test_pooled_targets_of_repeated_masks_repeat_the_window():
    made, rows = batch(3, 6), torch.tensor([0, 1, 2, 0, 1, 2])
    block = provider("ema")
    torch.testing.assert_close(block(request(made, rows=rows)).values, block(request(made)).values[rows])


@pytest.mark.parametrize("stop", [False, True])
def test_self_target_passes_gradient_unless_stopped(stop):
    made, model = batch(2, 4), encoder()
    target = provider({"name": "self", "stop_gradient": stop}, model)(request(made, torch.tensor([[0], [1]])))
    assert target.values.requires_grad is not stop


def test_self_target_owns_nothing():
    assert provider("self").state_dict() == {}


def dino(model, **options):
    heads = nn.ModuleDict({"prototypes": build("head", {"name": "prototypes", "count": 5}, SPEC, 32)})
    return provider({"name": "centred", "head": "prototypes", **options}, model, heads), heads["prototypes"]


def test_centred_prototypes_sharpen_after_centring():
    made, model = batch(4, 6), encoder()
    block, prototypes = dino(model, temperature=0.1)
    block.centre.copy_(torch.linspace(-0.2, 0.2, 5))
    target = block(request(made)).values
    pooled, weight = model(made).pooled.detach(), prototypes.weight.detach()
    for row in range(4):
        scores = []
        for k in range(5):
            w = weight[k]
            cosine = float(pooled[row] @ w / (pooled[row].norm() * w.norm()))
            scores.append(math.exp((cosine - float(block.centre[k])) / 0.1))
        torch.testing.assert_close(target[row], torch.tensor([s / sum(scores) for s in scores]), atol=1e-5, rtol=1e-4)


def test_the_centre_is_a_moving_average_of_the_batch_mean_of_valid_rows():
    valid = torch.ones(4, 6, dtype=torch.bool)
    valid[3] = False
    made, model = batch(4, 6, valid=valid), encoder()
    block, prototypes = dino(model, centre_momentum=0.9)
    for _ in range(2):  # two views a step count alike
        block(request(made))
    mean = prototypes(model(made).pooled[:3]).mean(0)
    block.after_step(0, 10)
    torch.testing.assert_close(block.centre, 0.1 * mean.detach())
    block(request(made))
    block.after_step(1, 10)
    torch.testing.assert_close(block.centre, (0.9 * 0.1 + 0.1) * mean.detach())
    before = block.centre.clone()
    block.eval()(request(made))
    block.after_step(2, 10)
    assert torch.equal(block.centre, before)


def test_the_temperature_follows_its_schedule_across_a_resume():
    made, model = batch(4, 6), encoder()
    options = {"temperature": {"name": "linear", "start": 0.05, "end": 0.5}}
    block, _ = dino(model, **options)
    cold = block(request(made)).values
    block.eval().after_step(10, 10)
    warm = block(request(made)).values
    assert warm.amax() < cold.amax()
    again, _ = dino(model, **options)
    again.load_state_dict(block.state_dict())
    torch.testing.assert_close(again.eval()(request(made)).values, warm)


@pytest.mark.parametrize("name", ["ema", "self"])
@pytest.mark.parametrize(
    ("options", "words"), [({"layers": 0}, "layers must be at least 1"), ({"normalize": "batch"}, "normalize must be")]
)
def test_bad_options_are_one_sentence(name, options, words):
    with pytest.raises(InputError, match=words):
        provider({"name": name, **options})
