"""What an encoder promises: order does not matter, invalid patches do not exist, any coordinate works."""

from __future__ import annotations

import pytest
import torch
from blocks_kit import SPEC, batch, encoder, insert_invalid, reorder, spoil
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.blocks.encoder import masked_mean
from omnipatch.core.blocks.registry import build
from omnipatch.core.blocks.views import IndexSet
from omnipatch.core.errors import InputError
from omnipatch.core.sequence import PatchSequence, SequenceSpec, gather

KINDS = {
    "fourier": {},
    "rotary": {"positions": "rotary"},
    "registers": {"registers": 3, "positions": "rotary"},
    "gin": {"name": "graph"},
    "gcn": {"name": "graph", "layer": "gcn"},
    "gat": {"name": "graph", "layer": "gat"},
}
ENCODERS = {name: encoder(**options).eval() for name, options in KINDS.items()}
quick = settings(max_examples=10, deadline=None)


def _random_valid(data, rows, patches):
    flags = data.draw(st.lists(st.booleans(), min_size=rows * patches, max_size=rows * patches))
    return torch.tensor(flags).view(rows, patches)


@pytest.mark.parametrize("kind", KINDS)
@quick
@given(data=st.data())
def test_permuting_patches_permutes_tokens(kind, data):
    made = batch(3, 7, valid=_random_valid(data, 3, 7))
    order = torch.tensor([data.draw(st.permutations(range(7))) for _ in range(3)])
    with torch.no_grad():
        plain = ENCODERS[kind](made, keep_layers=2)
        mixed = ENCODERS[kind](reorder(made, order), keep_layers=2)
    moved = gather(plain.tokens, None, order)
    seen = gather(made.valid, None, order)
    torch.testing.assert_close(mixed.tokens[seen], moved[seen], atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(mixed.pooled, plain.pooled, atol=2e-5, rtol=1e-4)
    for a, b in zip(mixed.layers, plain.layers, strict=True):
        torch.testing.assert_close(a[seen], gather(b, None, order)[seen], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@quick
@given(at=st.lists(st.integers(0, 7), min_size=1, max_size=5))
def test_invalid_patches_change_no_token_and_no_gradient(kind, at):
    model, made = ENCODERS[kind], batch(3, 7)
    wide, now = insert_invalid(made, at)
    results = []
    for each in (made, wide):
        model.zero_grad()
        out = model(each)
        out.pooled.square().sum().backward()
        results.append((out, [p.grad.clone() for p in model.parameters() if p.grad is not None]))
    (plain, g0), (padded, g1) = results
    assert torch.isfinite(padded.tokens).all()
    torch.testing.assert_close(padded.tokens[:, now], plain.tokens, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(padded.pooled, plain.pooled, atol=2e-5, rtol=1e-4)
    assert len(g0) == len(g1)
    for a, b in zip(g0, g1, strict=True):
        torch.testing.assert_close(a, b, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_sensor_is_finite_and_not_a_zero(kind):
    made = batch(2, 5)
    assert made.values is not None
    missing, zero = made.values.clone(), made.values.clone()
    missing[:, :, 8:], zero[:, :, 8:] = float("nan"), 0.0
    a, b = (ENCODERS[kind](made.replace(values=v)).tokens for v in (missing, zero))
    assert torch.isfinite(a).all()
    assert (a - b).abs().amax() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
@quick
@given(time=st.floats(-1e4, 1e4), lead=st.floats(-100, 100))
def test_unseen_coordinates_are_finite_and_matter(kind, time, lead):
    made = batch(2, 5)
    moved = made.coords.clone()
    moved[:, 2] = torch.tensor([time, lead])
    tokens = ENCODERS[kind](made.replace(coords=moved)).tokens
    assert torch.isfinite(tokens).all()


@pytest.mark.parametrize("kind", KINDS)
def test_positions_distinguish_equal_contents(kind):
    made = batch(1, 6)
    same = made.replace(values=torch.ones(1, 6, SPEC.patch_size))
    tokens = ENCODERS[kind](same).tokens[0]
    if kind == "fourier":
        assert torch.cdist(tokens, tokens).fill_diagonal_(1.0).min() > 1e-3
    swapped = made.replace(coords=made.coords.flip(1))
    assert (ENCODERS[kind](swapped).tokens - ENCODERS[kind](made).tokens).abs().max() > 1e-4


def test_rotary_attention_sees_only_differences_of_coordinates():
    made = batch(2, 6)
    shifted = made.replace(coords=made.coords + torch.tensor([3.2, 1.0]))
    a, b = (ENCODERS["rotary"](m).tokens for m in (made, shifted))
    torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)


def test_visible_patches_equal_an_encoding_of_the_cut_batch():
    made = batch(3, 8)
    index = torch.tensor([[0, 3, 5], [7, 1, 0], [2, 4, 6]])
    part = ENCODERS["fourier"](made, None, IndexSet(index, torch.ones_like(index, dtype=torch.bool)))
    whole = ENCODERS["fourier"](made.patches(index))
    torch.testing.assert_close(part.tokens, whole.tokens)
    assert torch.equal(part.index, index)


def test_lineage_repeats_rows():
    made, rows = batch(3, 4), torch.tensor([2, 0, 2])
    out = ENCODERS["fourier"](made, rows)
    torch.testing.assert_close(out.tokens, ENCODERS["fourier"](made).tokens[rows])


@pytest.mark.parametrize("kind", KINDS)
def test_rows_with_no_and_one_valid_patch_are_finite(kind):
    valid = torch.ones(3, 5, dtype=torch.bool)
    valid[0] = False
    valid[1, 1:] = False
    made = batch(3, 5, valid=valid)
    out = ENCODERS[kind](made)
    assert torch.equal(out.pooled[0], torch.zeros(32))
    assert torch.isfinite(out.tokens).all()
    alone = ENCODERS[kind](made.rows([1]).patches(torch.tensor([[0]])).replace(edges=made.edges[:, :0]))
    torch.testing.assert_close(out.pooled[1:2], alone.pooled, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("registers", [0, 2])
def test_last_layers_are_kept_without_registers(registers):
    model, made = encoder(registers=registers).eval(), batch(2, 5)
    out = model(made, keep_layers=2)
    assert [tuple(s.shape) for s in out.layers] == [(2, 5, 32)] * 2
    torch.testing.assert_close(model.norm(out.layers[-1]), out.tokens)
    assert torch.equal(out.embedding, model.embed(made.values, None, made.kind, made.valid))


def test_ids_and_kinds_are_embedded_and_padding_may_hold_anything():
    spec = SequenceSpec(axes=("order",), patch_shape=(1,), kinds=("user", "item"), vocabulary=(10, 5))
    ids = torch.stack([torch.arange(6), torch.arange(6) % 5], -1)[None].repeat(2, 1, 1)
    coords = torch.arange(6.0)[None, :, None].repeat(2, 1, 1)
    kind = torch.tensor([[0, 1, 0, 1, 0, 1]] * 2)
    made = PatchSequence.build(spec, coords, ids=ids, kind=kind)
    model = encoder(spec).eval()
    tokens = model(made).tokens
    assert (model(made.replace(kind=1 - kind)).tokens - tokens).abs().max() > 1e-3
    cut = made.replace(valid=torch.arange(6).expand(2, 6) < 4)
    dirty = cut.replace(ids=ids.masked_fill(~cut.valid.unsqueeze(-1), -1), kind=kind.masked_fill(~cut.valid, 99))
    torch.testing.assert_close(model(dirty).tokens[:, :4], model(cut).tokens[:, :4])


def test_masked_mean_is_float32_under_autocast():
    tokens = 100.0 + torch.randn(2, 50, 4, generator=torch.Generator().manual_seed(0))
    valid = torch.arange(50).expand(2, 50) < 33
    with torch.autocast("cpu", torch.bfloat16):
        mean = masked_mean(tokens, valid)
    assert mean.dtype == torch.float32
    torch.testing.assert_close(mean, tokens[:, :33].mean(1), atol=1e-4, rtol=1e-6)


def test_layer_groups_hold_every_parameter_once():
    model = encoder(registers=2, positions="fourier")
    ids = [id(p) for group in model.layer_groups() for p in group]
    assert sorted(ids) == sorted(id(p) for p in model.parameters())
    assert len(model.layer_groups()) == model.depth + 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"positions": "sine"}, "positions must be"),
        ({"width": 33}, "multiple of heads"),
        ({"width": 6, "heads": 2, "positions": "rotary"}, "rotary positions over 2 axes"),
        ({"wdith": 3}, "did you mean 'width'"),
    ],
)
def test_bad_options_are_one_sentence(options, words):
    with pytest.raises(InputError, match=words):
        build("encoder", {"name": "transformer", "width": 32, "heads": 2, **options}, SPEC)


@quick
@given(data=st.data())
def test_gather_is_two_index_gathering(data):
    field = torch.randn(4, 6, 3)
    rows = torch.tensor(data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=5)))
    index = torch.tensor(
        data.draw(st.lists(st.lists(st.integers(0, 5), min_size=2, max_size=2), min_size=len(rows), max_size=len(rows)))
    )
    assert torch.equal(gather(field, rows, index), field[rows.unsqueeze(1), index])


def test_spoiled_batches_hold_nan():
    made = spoil(batch(2, 3, valid=torch.tensor([[True, False, True]] * 2)))
    assert made.values is not None
    assert made.values[:, 1].isnan().all()
