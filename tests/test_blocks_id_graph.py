"""Propagation and the encoder built on it, against LightGCN written with one dense matrix."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ids_kit import train
from omnipatch import InputError, PatchSequence, SequenceSpec
from omnipatch.core.blocks.id_table import tell_known
from omnipatch.core.blocks.ids import IdBpr, IdTarget
from omnipatch.core.blocks.propagation import Propagation, normalised
from omnipatch.core.blocks.registry import build
from omnipatch.core.blocks.views import IndexSet
from omnipatch.core.known import KnownIds
from omnipatch.core.objective import Objective
from omnipatch.core.rng import RowRandom
from scipy import sparse

USERS, ITEMS, WIDTH = 7, 11, 4
SPEC = SequenceSpec(
    axes=("steps_back",), patch_shape=(1,), kinds=("item", "person"), vocabulary=(ITEMS, USERS), known_of_ids=(3, 2),
    kind_columns=(0, 1),
)  # fmt: skip
OPTIONS = {"name": "id_graph", "width": WIDTH, "layers": 3, "people": "person", "known": False}


@st.composite
def graphs(draw):
    """[row, id] of ones, with empty rows and columns now and then."""
    rows, ids = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    pairs = draw(st.lists(st.tuples(st.integers(0, rows - 1), st.integers(0, ids - 1)), min_size=1, unique=True))
    row, column = np.array(pairs).T
    return sparse.csr_matrix((np.ones(len(row), np.float32), (row, column)), shape=(rows, ids))


def lightgcn(matrix, rows, ids, layers, without=()):
    """One symmetric matrix of rows and ids, mean over its powers."""
    half = torch.from_numpy(normalised(matrix).toarray())
    for edge in without:
        half[edge] = 0
    n, m = half.shape
    whole = torch.zeros(n + m, n + m)
    whole[:n, n:], whole[n:, :n] = half, half.T
    powers = [torch.cat([rows, ids])]
    for _ in range(layers):
        powers.append(whole @ powers[-1])
    mean = torch.stack(powers).mean(dim=0)
    return mean[:n], mean[n:]


def test_the_papers_penalty_is_on_the_vectors_that_are_spread():
    model = encoder()
    target = IdTarget(torch.tensor([[3]]), torch.tensor([[True]]), torch.tensor([[-1]]))
    values = []
    for decay in (0.0, 0.1):
        torch.manual_seed(0)
        loss = IdBpr(model, negatives=200, decay=decay)
        values.append(float(loss(torch.randn(1, WIDTH), target, torch.zeros(1))[0]))
    torch.manual_seed(0)
    torch.randn(1, WIDTH)
    drawn = torch.randint(ITEMS, (1, 200))
    rows, ids = (table.weight.square().sum(dim=1) for table in (model.people, model.embed.tables[0]))
    expected = rows.mean() + ids[3] + ids[drawn[drawn != 3]].mean()
    assert values[1] - values[0] == pytest.approx(0.05 * float(expected), rel=1e-3)


class TestPropagation:
    @given(graphs(), st.integers(0, 3))
    def test_as_with_one_dense_matrix(self, matrix, layers):
        generator = torch.Generator().manual_seed(0)
        start = [torch.randn(n, 4, generator=generator, requires_grad=True) for n in matrix.shape]
        weight = [torch.randn(x.shape, generator=generator) for x in start]
        found, gradients = [], []
        spread = Propagation(matrix, layers)(*start)
        for made in ((spread.rows, spread.ids), lightgcn(matrix, *start, layers)):
            found.append(made)
            gradients.append(torch.autograd.grad([x.mul(w).sum() for x, w in zip(made, weight, strict=True)], start))
        for one, other in zip((*found[0], *gradients[0]), (*found[1], *gradients[1]), strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)

    @given(graphs(), st.integers(1, 3), st.data())
    def test_edges_are_left_out_as_from_the_dense_matrix(self, matrix, layers, data):
        """Named twice or not there at all, too."""
        place = st.tuples(*(st.integers(0, n - 1) for n in matrix.shape))
        cut = data.draw(st.lists(place, min_size=1, max_size=8))
        generator, found = torch.Generator().manual_seed(0), []
        start = [torch.randn(n, 4, generator=generator, requires_grad=True) for n in matrix.shape]
        graph = Propagation(matrix, layers)
        before = graph(*start).ids
        spread = graph(*start, torch.tensor(cut).T)
        for made in ((spread.rows, spread.ids), lightgcn(matrix, *start, layers, cut)):
            found.append((*made, *torch.autograd.grad(sum(x.square().sum() for x in made), start)))
        for one, other in zip(*found, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
        assert torch.equal(graph(*start).ids, before)

    @given(graphs(), st.integers(1, 3))
    def test_rows_without_vectors_are_rows_of_zeros(self, matrix, layers):
        ids = torch.randn(matrix.shape[1], 4, generator=torch.Generator().manual_seed(0))
        graph = Propagation(matrix, layers)
        without, zeros = graph(None, ids), graph(torch.zeros(matrix.shape[0], 4), ids)
        assert without.rows is None
        torch.testing.assert_close(without.ids, zeros.ids)
        torch.testing.assert_close(without.told, zeros.told)

    @given(graphs(), st.integers(1, 3))
    def test_what_ids_tell_makes_the_vector_of_a_row_that_began_with_nothing(self, matrix, layers):
        """A row that nobody hears of and that has no vector of its own: a copy of row 0, whose edges do not count."""
        ids = torch.randn(matrix.shape[1], 4, generator=torch.Generator().manual_seed(0))
        spread = Propagation(matrix, layers)(torch.zeros(matrix.shape[0], 4), ids)
        torch.testing.assert_close(torch.from_numpy(normalised(matrix).toarray()) @ spread.told, spread.rows)


def taken(seed=0):
    rng = np.random.default_rng(seed)
    return sparse.csr_matrix((rng.random((USERS, ITEMS)) < 0.4).astype(np.float32))


def encoder(options=OPTIONS, spec=SPEC, seed=0):
    torch.manual_seed(seed)
    model = build("encoder", options, spec)
    tell_known(model, KnownIds((np.zeros((ITEMS, 3), np.float32), np.ones((USERS, 2), np.float32)), taken()))
    return model


def batch_of(*rows, people=()):
    """Items of each row, and after them whose it is, -1 = not told."""
    longest = max(map(len, rows)) + 1
    ids, kind = torch.full((len(rows), longest, 2), 5), torch.zeros(len(rows), longest, dtype=torch.long)
    valid = torch.zeros(len(rows), longest, dtype=torch.bool)
    for at, row in enumerate(rows):
        ids[at, : len(row), 0] = torch.tensor(row)
        valid[at, : len(row)] = True
        kind[at, len(row) :] = 1
        if people and people[at] >= 0:
            ids[at, len(row), 1], valid[at, len(row)] = people[at], True
    coords = torch.zeros(*kind.shape, 1)
    return PatchSequence.build(SPEC, coords, ids=ids, kind=kind, valid=valid, window=torch.arange(len(rows)))


class TestEncoder:
    def test_people_of_the_graph_are_read_by_their_own_vectors(self):
        model = encoder()
        rows, ids = lightgcn(taken(), model.people.weight, model.embed.tables[0].weight, 3)
        batch = batch_of([0], [3, 4, 5], people=(2, 6))
        torch.testing.assert_close(model.id_table(), ids)
        torch.testing.assert_close(model(batch).pooled, rows[[2, 6]])

    def test_somebody_new_is_read_by_the_history(self):
        model, history = encoder(), [1, 4, 5, 9]
        degree = np.asarray(taken().sum(axis=0)).ravel()
        told = model._propagated().told
        expected = sum(told[i] / np.sqrt(degree[i] * len(history)) for i in history if degree[i])
        found = model(batch_of(history, [1], people=(-1, 3))).pooled
        torch.testing.assert_close(found[0], expected)
        assert not torch.allclose(found[0], found[1])

    def test_the_gradient_is_that_of_the_dense_model(self):
        model = encoder()
        own, table = model.people.weight, model.embed.tables[0].weight
        rows, ids = lightgcn(taken(), own, table, 3)
        expected = torch.autograd.grad((rows[[2, 2, 0]] @ ids.T).square().sum(), (own, table))
        pooled = model(batch_of([0], [1], [2], people=(2, 2, 0))).pooled
        found = torch.autograd.grad((pooled @ model.id_table().T).square().sum(), (own, table))
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)

    def test_hidden_edges_carry_nothing_in_training_and_everything_else_later(self):
        options = {**OPTIONS, "people": "", "cut": "person"}
        model, whole = encoder(options), encoder({**options, "cut": ""})
        own = taken()[2].indices.tolist()
        batch = batch_of(own, [0, 1], people=(2, -1))
        n = batch.n_patches
        index = torch.arange(1, n).expand(2, -1)
        visible = IndexSet(index, batch.valid.gather(1, index))  # the first of each row is hidden
        table, zeros = model.embed.tables[0].weight, torch.zeros(USERS, WIDTH)
        made = model(batch, None, visible)
        torch.testing.assert_close(model.id_table(), lightgcn(taken(), zeros, table, 3, [(2, own[0])])[1])
        assert not torch.allclose(made.pooled[0], whole(batch, None, visible).pooled[0])
        made.pooled.sum().backward()
        assert torch.isfinite(table.grad).all()
        with torch.no_grad():
            torch.testing.assert_close(model(batch).pooled, whole(batch).pooled)
            torch.testing.assert_close(model(batch, None, visible).pooled, whole(batch, None, visible).pooled)

    def test_it_follows_its_weights(self):
        model, batch = encoder(), batch_of([0, 1], people=(2,))
        with torch.no_grad():
            before = model(batch).pooled
            torch.testing.assert_close(model(batch).pooled, before)
            for weight in (model.people.weight, model.embed.tables[0].weight):
                weight.mul_(2.0)
            torch.testing.assert_close(model(batch).pooled, 2 * before)

    def test_a_copy_has_weights_of_its_own_and_the_same_graph(self):
        model, batch = encoder(), batch_of([0, 1], people=(2,))
        model(batch).pooled.sum().backward()
        twin = copy.deepcopy(model)
        torch.testing.assert_close(twin(batch).pooled, model(batch).pooled)
        assert twin._graph is model._graph
        with torch.no_grad():
            twin.people.weight.zero_()
        assert not torch.allclose(twin(batch).pooled, model(batch).pooled)

    def test_the_graph_is_no_weight(self):
        assert set(encoder().state_dict()) == {
            "people.weight", "embed.tables.0.weight", "embed.known.0.map.weight", "embed.known.1.map.weight",
            "embed.kinds.weight",
        }  # fmt: skip

    def test_it_must_be_told_whose_rows_are(self):
        spec = SequenceSpec(axes=("steps_back",), patch_shape=(1,), kinds=("item",), vocabulary=(ITEMS,))
        with pytest.raises(InputError, match="rows do not tell whose they are"):
            build("encoder", OPTIONS, spec)
        with pytest.raises(InputError, match=r"encoder\.cut"):
            build("encoder", {**OPTIONS, "people": "", "cut": "person"}, spec)
        with pytest.raises(InputError, match=r"unknown kind of patch 'persons'.*person"):
            build("encoder", {**OPTIONS, "people": "persons"}, SPEC)
        with pytest.raises(ValueError, match="7 vectors"):
            tell_known(build("encoder", OPTIONS, SPEC), KnownIds((np.zeros((ITEMS, 3)), np.zeros((9, 2))), taken()[:3]))

    def test_it_learns_what_people_hid(self):
        """Softmax over hidden items, and the person's patch is neither hidden nor asked for."""
        model = encoder()
        rows = [taken()[user].indices.tolist() for user in range(USERS)]
        batch = batch_of(*rows, people=range(USERS))
        objective = Objective.from_config({"name": "masked-ids"}, SPEC, model)
        train(objective, batch, 60, lr=0.05)
        scores = (model(batch).pooled @ model.id_table().T).detach().numpy()
        own = taken().toarray() > 0
        above = scores[:, :, None] > scores[:, None, :]
        assert above[own[:, :, None] & ~own[:, None, :]].mean() > 0.95


class TestSurroundings:
    """Patches that tell of a row's surroundings, whatever reads them."""

    @settings(max_examples=20)
    @given(st.integers(0, 999))
    def test_they_are_always_seen_and_never_asked_for(self, step):
        objective = Objective.from_config({"name": "masked-ids"}, SPEC, build("encoder", {"name": "set"}, SPEC))
        batch = batch_of([0, 1, 2, 3], [4], people=(2, -1))
        view = objective.views["context"](batch, RowRandom(0, step, batch.window), None)
        assert (batch.kind.gather(1, view.targets.index)[view.targets.valid] == 0).all()
        seen = batch.kind.gather(1, view.visible.index) * view.visible.valid
        assert seen.sum(dim=1).tolist() == [1, 0]

    @pytest.mark.parametrize("name", ["set", "transformer"])
    def test_other_encoders_read_them_by_what_is_known(self, name):
        size = {"width": 6, **({"heads": 2, "depth": 1} if name == "transformer" else {})}
        model = encoder({"name": name, **size})
        assert len(model.embed.tables) == 1
        with torch.no_grad():
            model.embed.known[1].map.weight.fill_(0.3)
        told, untold = (model(batch_of([0, 1], people=(p,))).pooled for p in (2, -1))
        assert not torch.allclose(told, untold)

    def test_columns_fit_kinds(self):
        for columns in ((0,), (1, 0), (0, 2)):
            with pytest.raises(ValueError, match="kind_columns"):
                SequenceSpec(axes=("x",), patch_shape=(1,), kinds=("a", "b"), vocabulary=(3, 4), kind_columns=columns)
