"""Graph encoder and decoder: neighbours alone are heard, hidden contents never, and the layers are the published ones.

What every encoder promises is held in test_blocks_encoder.py, what every objective promises in test_objective.py.
"""

from __future__ import annotations

import builtins
import sys
import time

import pytest
import torch
from blocks_kit import SPEC, batch, chain, encoder, objective, reorder, run
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.blocks.edges import graph_of, induced
from omnipatch.core.blocks.heads import Query
from omnipatch.core.blocks.message_passing import LAYERS
from omnipatch.core.blocks.registry import build
from omnipatch.core.blocks.views import IndexSet
from omnipatch.core.errors import InputError
from omnipatch.core.rng import RowRandom
from omnipatch.core.scope import Scope
from omnipatch.core.sequence import PatchSequence, gather

quick = settings(max_examples=15, deadline=None)
FINE = [(layer, hidden) for layer in LAYERS for hidden in ("token", "dropped")]


def graph_encoder(**options):
    return encoder(**{"name": "graph", **options}).eval()


def graph_mae(remask: bool = True, **options):
    head = {"name": "graph_decoder", "width": 24, "depth": 2, "remask": remask}
    return objective({"name": "graph-mae", "heads": {"decoder": head}}, name="graph", **options)


def shown(rows: int, index: list[int]) -> IndexSet:
    wanted = torch.tensor(index).expand(rows, -1)
    return IndexSet(wanted, torch.ones_like(wanted, dtype=torch.bool))


# ---- edges ----------------------------------------------------------------------------------------------------------


@quick
@given(data=st.data())
def test_induced_edges_are_those_of_a_search(data):
    rows, patches = 3, 6
    pair = st.tuples(st.integers(0, rows - 1), st.integers(0, patches - 1), st.integers(0, patches - 1))
    pairs = data.draw(st.lists(pair, max_size=20))
    index = torch.tensor([data.draw(st.permutations(range(patches)))[:4] for _ in range(rows)])
    valid = torch.tensor([[data.draw(st.booleans()) for _ in range(4)] for _ in range(rows)])
    edges = torch.tensor([[r * patches + a for r, a, _ in pairs], [r * patches + b for r, _, b in pairs]]).long()
    got = induced(edges.view(2, -1), IndexSet(index, valid), patches)
    places = [{int(p): r * 4 + i for i, p in enumerate(index[r]) if valid[r, i]} for r in range(rows)]
    want = [(places[r][a], places[r][b]) for r, a, b in pairs if a in places[r] and b in places[r]]
    assert [tuple(pair) for pair in got.T.tolist()] == want


def test_steps_of_the_first_axis_have_graphs_of_their_own():
    made = batch(2, 6)
    coords = made.coords.clone()
    coords[..., 0] = torch.arange(6) // 3 * 0.1
    apart = graph_of(made.replace(coords=coords), reach="step").edges
    ends = {tuple(sorted(pair)) for pair in apart.T.tolist()}
    assert ends == {(0, 1), (1, 2), (3, 4), (4, 5), (6, 7), (7, 8), (9, 10), (10, 11)}


def test_repeated_rows_have_their_own_edges():
    made, model = batch(3, 5), graph_encoder()
    rows = torch.tensor([2, 0, 2])
    torch.testing.assert_close(model(made, rows).tokens, model(made).tokens[rows])
    seen = shown(3, [0, 1, 3])
    torch.testing.assert_close(model(made, rows, seen).tokens, model(made, None, seen).tokens[rows])


# ---- layers ---------------------------------------------------------------------------------------------------------


def _slow_gin(model, made: PatchSequence) -> torch.Tensor:
    """The encoder with a dense adjacency matrix, node by node."""
    flat = len(made) * made.n_patches
    adjacency = torch.zeros(flat, flat)
    for a, b in made.edges.T.tolist():
        adjacency[b, a] += 1.0
    x = (model.embed(made.values, None, made.kind, made.valid) + model.positions(made.coords)).flatten(0, 1)
    for block in model.blocks:
        h = block.norm(x)
        x = x + block.layer.nn((1.0 + block.layer.eps) * h + adjacency @ h)
    return model.norm(x).view(len(made), made.n_patches, -1)


def test_gin_is_the_dense_matrix_product():
    model, made = graph_encoder(depth=3), batch(3, 7)
    for block in model.blocks:
        block.layer.eps.data.fill_(0.3)
    torch.testing.assert_close(model(made).tokens, _slow_gin(model, made), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_patch_hears_as_far_as_the_encoder_is_deep(layer):
    model, made = graph_encoder(layer=layer, depth=2), batch(1, 8)
    values = made.values.clone().requires_grad_()
    model(made.replace(values=values)).tokens[0, 1].square().sum().backward()
    heard = values.grad[0].abs().sum(dim=1) > 0
    assert heard.tolist() == [True, True, True, True, False, False, False, False]


@pytest.mark.parametrize("layer", LAYERS)
def test_direction_and_number_of_edges_matter(layer):
    model, made = graph_encoder(layer=layer), batch(2, 6)
    one_way = made.replace(edges=made.edges[:, : made.edges.shape[1] // 2])
    assert (model(one_way).tokens - model(made).tokens).abs().max() > 1e-3
    assert torch.equal(model(one_way).tokens[:, 0], model(made.replace(edges=made.edges[:, :0])).tokens[:, 0])


def test_without_positions_only_content_and_neighbours_tell_patches_apart():
    model, made = graph_encoder(positions="none"), batch(1, 6)
    same = made.replace(values=torch.ones_like(made.values))
    tokens = model(same).tokens[0]
    torch.testing.assert_close(tokens, tokens.flip(0), atol=1e-6, rtol=1e-5)
    assert (tokens[0] - tokens[1]).abs().max() > 1e-3  # an end has one neighbour


# ---- hidden patches -------------------------------------------------------------------------------------------------


def test_dropped_patches_leave_the_graph_of_the_visible_ones():
    made, index = batch(3, 8), [0, 1, 3, 6]
    model = graph_encoder(hidden="dropped")
    part = model(made, None, shown(3, index), keep_layers=2)
    cut = made.patches(torch.tensor(index).expand(3, -1)).replace(
        edges=torch.tensor([[0, 1, 4, 5, 8, 9], [1, 0, 5, 4, 9, 8]])
    )
    whole = model(cut, keep_layers=2)
    torch.testing.assert_close(part.tokens, whole.tokens)
    torch.testing.assert_close(part.layers, whole.layers)
    assert part.states is None


def test_kept_patches_pass_messages_without_content():
    made, index = batch(3, 8), [0, 1, 3, 6]
    model = graph_encoder(depth=3)
    part = model(made, None, shown(3, index), keep_layers=2)
    assert part.states.shape == (3, 8, 32)
    assert torch.equal(part.states[:, index], part.tokens)
    assert [tuple(layer.shape) for layer in part.layers] == [(3, 4, 32)] * 2
    values = made.values.clone()
    values[:, 3] += 1.0
    moved = model(made.replace(values=values), None, shown(3, index))
    assert (moved.tokens[:, 1] - part.tokens[:, 1]).abs().max() > 1e-4  # 3 reaches 1 through the hidden 2


@pytest.mark.parametrize(
    ("layer", "hidden", "remask"), [(*one, True) for one in FINE] + [(layer, "token", False) for layer in LAYERS]
)
def test_contents_of_hidden_patches_never_reach_a_prediction(layer, hidden, remask):
    made, built = batch(4, 10), graph_mae(remask, layer=layer, hidden=hidden).eval()
    view = built.views["context"](made, _rng(made), None)
    guess = _predict(built, made)
    for filler in (7.0, float("nan")):
        values = made.values.scatter(1, view.targets.index.unsqueeze(-1).expand(-1, -1, SPEC.patch_size), filler)
        assert torch.equal(_predict(built, made.replace(values=values)), guess)
    values = made.values.scatter(1, view.visible.index.unsqueeze(-1).expand(-1, -1, SPEC.patch_size), 7.0)
    assert not torch.equal(_predict(built, made.replace(values=values)), guess)


def _rng(made):
    return RowRandom(0, 0, made.window)


def _predict(built, made):
    return Scope(built, made, _rng(made)).predict("context", ("decoder",), "target").values.detach()


@pytest.mark.parametrize(("layer", "hidden"), FINE)
def test_several_masks_of_a_window_are_decoded_on_its_own_graph(layer, hidden):
    """The second half of a window's masks, alone and among others."""
    made = batch(4, 10)
    both = {"mask": {"name": "random", "ratio": 0.5, "repeats": 2, "disjoint": True}}
    head = {"name": "graph_decoder", "width": 24}
    options = {"name": "graph-mae", "views": {"context": both}, "heads": {"decoder": head}}
    built = objective(options, name="graph", layer=layer, hidden=hidden).eval()
    guess = _predict(built, made)
    assert len(guess) == 8
    alone = _predict(built, made.rows([2, 3]))
    torch.testing.assert_close(guess[[2, 3, 6, 7]], alone, atol=1e-5, rtol=1e-4)
    assert (guess[:4] - guess[4:]).abs().max() > 1e-3


# ---- decoding -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("layer", "hidden"), FINE)
def test_the_decoder_is_blind_to_the_order_of_patches(layer, hidden):
    made = batch(3, 9)
    order = torch.stack([torch.randperm(9, generator=torch.Generator().manual_seed(r)) for r in range(3)])
    back = order.argsort(dim=1)
    built = graph_mae(layer=layer, hidden=hidden).eval()
    seen = torch.tensor([0, 2, 3, 7]).expand(3, -1)
    asked = torch.tensor([1, 4, 5, 6, 8]).expand(3, -1)
    with torch.no_grad():
        plain = _decode(built, made, seen, asked)
        mixed = _decode(built, reorder(made, order), torch.gather(back, 1, seen), torch.gather(back, 1, asked))
    torch.testing.assert_close(mixed, plain, atol=1e-5, rtol=1e-4)


def _decode(built, made, seen, asked):
    all_valid = torch.ones_like(asked, dtype=torch.bool)
    encoded = built.encoder(made, None, IndexSet(seen, torch.ones_like(seen, dtype=torch.bool)))
    coords = gather(made.coords, None, asked)
    query = Query(coords, torch.zeros_like(asked), all_valid, asked, graph_of(made))
    return built.heads["decoder"](encoded, query)


@pytest.mark.parametrize(("layer", "hidden"), FINE)
def test_gradients_reach_every_weight(layer, hidden):
    built = graph_mae(layer=layer, hidden=hidden)
    built(batch(), 0, 0).loss.backward()
    assert [n for n, p in built.named_parameters() if p.grad is None] == []


def test_where_nothing_is_hidden_all_weights_have_gradients_too():
    """Distributed training waits for each of them."""
    term = {"site": "all", "source": "clean", "head": "decoder", "target": "signal", "loss": "l2"}
    options = {
        "name": "graph-mae",
        "views": {"context": None, "clean": {}},
        "terms": {"reconstruction": None, "all": term},
    }
    built = objective(options, name="graph")
    built(batch(), 0, 0).loss.backward()
    assert [n for n, p in built.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("hidden", ["token", "dropped"])
def test_training_fills_in_what_neighbours_tell(hidden):
    """Patches of a row point in one direction: a decoder that hears a neighbour can answer."""
    made = batch(32, 12)
    alike = made.replace(values=made.values[:, :1].expand(-1, 12, -1) + 0.1 * made.values)
    losses = run(graph_mae(hidden=hidden), alike, 60, lr=3e-3)
    assert losses[0] > 0.7
    assert losses[-1] < 0.35 * losses[0]


def test_golden_losses_of_the_graph_encoder():
    """A change of these numbers is a change of what users train (see test_objective_golden.py)."""
    assert run(graph_mae(), batch(8, 12), 4) == pytest.approx(GOLDEN["remask"], rel=1e-4)
    assert run(graph_mae(False), batch(8, 12), 4) == pytest.approx(GOLDEN["go on"], rel=1e-4)


GOLDEN = {
    "remask": [0.990103, 1.001735, 0.982064, 0.878221],
    "go on": [1.015325, 0.956692, 0.944617, 0.853125],
}


# ---- what cannot work says so ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("visible", [None, shown(2, [0, 1])])
def test_a_batch_without_edges_is_one_sentence(visible):
    made = batch(2, 4).replace(edges=None)
    with pytest.raises(InputError, match=r"needs edges between patches.*transformer"):
        graph_encoder()(made, None, visible)
    with pytest.raises(InputError, match="needs edges between patches"):
        objective("graph-mae")(made, 0, 0)


def test_going_on_from_states_nobody_has_is_one_sentence():
    with pytest.raises(InputError, match=r"needs states of hidden patches.*hidden: token"):
        graph_mae(False, hidden="dropped")(batch(), 0, 0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layer": "gni"}, "did you mean 'gin'"),
        ({"hidden": "gone"}, "hidden must be 'token' or 'dropped'"),
        ({"positions": "rotary"}, "'fourier' or 'none'"),
        ({"reach": "stepp"}, "did you mean 'step'"),
        ({"layer": "gat", "heads": 5}, "multiple of heads"),
        ({"depth": 0}, "depth must be at least 1"),
    ],
)
def test_bad_options_are_one_sentence(options, words):
    with pytest.raises(InputError, match=words):
        build("encoder", {"name": "graph", "width": 32, **options}, SPEC)


def test_without_torch_geometric_the_extra_is_named(monkeypatch):
    original = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.startswith("torch_geometric"):
            raise ImportError("No module named 'torch_geometric'")
        return original(name, *args, **kwargs)

    for name in [n for n in sys.modules if n.startswith("torch_geometric")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(InputError, match=r"torch-geometric.*omnipatch\[graph\]"):
        graph_encoder()
    assert encoder().width == 32  # everything else works


def test_a_step_is_quick():
    """Sixteen windows of 15 steps of 22 joints, in processor time, which a busy machine hardly changes."""
    spent, made = [], batch(16, 330)
    built = graph_mae(width=64, depth=3)
    for step in range(3):
        began = time.process_time()
        built(made, 0, step).loss.backward()
        spent.append(time.process_time() - began)
    assert min(spent) < 2.0


def test_chain_joins_neighbours_both_ways():
    assert chain(1, 3).tolist() == [[0, 1, 1, 2], [1, 2, 0, 1]]
