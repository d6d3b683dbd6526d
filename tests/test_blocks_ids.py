"""Which ids are hidden: targets, losses over a vocabulary, the set encoder, and what is known of ids."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ids_kit import SETS, SPEC, batch_of, encoder, train
from omnipatch import InputError, SequenceSpec
from omnipatch.core.batching import pad
from omnipatch.core.blocks.id_table import tell_known
from omnipatch.core.blocks.ids import IdBpr, IdCosine, IdSoftmax, IdTarget
from omnipatch.core.blocks.registry import build
from omnipatch.core.compose import shipped_id_objectives, shipped_objectives
from omnipatch.core.known import KnownIds
from omnipatch.core.objective import Objective
from scipy import sparse

GRAPH = {"name": "id_graph", "width": 8}
ATTENTION = {"name": "transformer", "width": 8, "depth": 1, "heads": 2, "positions": "none"}


def score_of(loss, encoder, vectors, hidden, shown=()):
    """Loss of one row that hides and shows some ids."""
    target = IdTarget(
        torch.tensor([hidden]), torch.ones(1, len(hidden), dtype=torch.bool), torch.tensor([list(shown) or [-1]])
    )
    values, weights = loss(vectors, target, torch.zeros(1, dtype=torch.long))
    return float(values[0]), float(weights[0])


class TestSoftmax:
    def test_it_is_the_mean_log_probability_among_what_is_not_shown(self):
        model, z = encoder(), torch.randn(1, 8)
        scores = (z @ model.id_table().T)[0]
        left = [i for i in range(30) if i not in (4, 5)]
        expected = np.mean([float(scores[left].logsumexp(0) - scores[i]) for i in (1, 2, 3)])
        value, weight = score_of(IdSoftmax(model), model, z, [1, 2, 3], [4, 5])
        assert value == pytest.approx(expected, abs=1e-5)
        assert weight == pytest.approx(3**0.5)

    @pytest.mark.parametrize(("power", "weight"), [(0.0, 1.0), (1.0, 3.0)])
    def test_rows_or_ids_count_alike(self, power, weight):
        model = encoder()
        assert score_of(IdSoftmax(model, row_weight=power), model, torch.randn(1, 8), [1, 2, 3])[1] == weight

    def test_sampling_estimates_the_whole_vocabulary(self):
        model, z = encoder(), torch.randn(1, 8) * 5
        whole, _ = score_of(IdSoftmax(model), model, z, [1, 2], [4])
        torch.manual_seed(0)
        drawn = [score_of(IdSoftmax(model, sampled=200), model, z, [1, 2], [4])[0] for _ in range(50)]
        assert np.mean(drawn) == pytest.approx(whole, abs=0.02)

    def test_each_place_has_its_own_id(self):
        model, z = encoder(), torch.randn(1, 2, 8)
        target = IdTarget(torch.tensor([[3, 0]]), torch.tensor([[True, False]]), torch.tensor([[-1]]))
        values, weights = IdSoftmax(model)(z, target, torch.zeros(1))
        expected = torch.nn.functional.cross_entropy(z[0, :1] @ model.id_table().T, torch.tensor([3]))
        assert values.shape == (1, 2)
        assert float(values[0, 0]) == pytest.approx(float(expected), abs=1e-5)
        assert weights.tolist() == [[1.0, 0.0]]

    def test_a_row_without_hidden_ids_has_no_weight(self):
        model = encoder()
        target = IdTarget(torch.tensor([[0]]), torch.tensor([[False]]), torch.tensor([[1]]))
        values, weights = IdSoftmax(model)(torch.randn(1, 8), target, torch.zeros(1))
        assert torch.isfinite(values).all()
        assert weights.tolist() == [0.0]


class TestCosine:
    def test_it_is_the_cross_entropy_of_cosines_against_drawn_ids_that_are_not_its_own(self):
        model = encoder()
        hidden, shown = [[3, 4], [5, 0]], [[7, 8], [9, -1]]
        target = IdTarget(torch.tensor(hidden), torch.tensor([[True, True], [True, False]]), torch.tensor(shown))
        loss, z = IdCosine(model, sampled=40, temperature=0.5), torch.randn(2, 8)
        torch.manual_seed(0)
        values, weights = loss(z, target, torch.zeros(2))
        torch.manual_seed(0)
        drawn = loss.proposal.draw(40)[0].tolist()
        cosines = torch.cosine_similarity(z.unsqueeze(1), model.id_table().unsqueeze(0), dim=2) / 0.5
        for row, (asked, own) in enumerate([([3, 4], {3, 4, 7, 8}), ([5], {5, 9})]):
            negatives = [cosines[row, i] for i in drawn if i not in own]
            assert len(negatives) < len(drawn)  # else nothing is tested
            expected = [torch.stack([*negatives, cosines[row, i]]).logsumexp(0) - cosines[row, i] for i in asked]
            assert float(values[row]) == pytest.approx(float(torch.stack(expected).mean()), abs=1e-5)
        assert weights.tolist() == [1.0, 1.0]

    def test_places_have_vectors_of_their_own(self):
        model, z = encoder(), torch.randn(1, 2, 8)
        ids, every = torch.tensor([[3, 6]]), torch.ones(1, 2, dtype=torch.bool)
        target = IdTarget(ids, every, torch.tensor([[-1]]))
        loss = IdCosine(model, sampled=50)
        torch.manual_seed(0)
        both, _ = loss(z, target, torch.zeros(1))
        for place in (0, 1):
            torch.manual_seed(0)
            shown = ids[:, 1 - place : 2 - place]  # still its own, so no negative
            one = IdTarget(ids[:, place : place + 1], every[:, :1], shown)
            alone, _ = loss(z[:, place : place + 1], one, torch.zeros(1))
            assert float(both[0, place]) == pytest.approx(float(alone[0, 0]), abs=1e-5)

    def test_lengths_do_not_matter(self):
        model, z = encoder(), torch.randn(1, 8)
        values = []
        for scale in (1.0, 7.0):
            torch.manual_seed(0)
            values.append(score_of(IdCosine(model), model, scale * z, [3])[0])
        assert values[0] == pytest.approx(values[1], abs=1e-5)

    def test_a_row_that_took_everything_learns_nothing_and_breaks_nothing(self):
        model, z = encoder(), torch.randn(1, 8, requires_grad=True)
        target = IdTarget(torch.arange(30).unsqueeze(0), torch.ones(1, 30, dtype=torch.bool), torch.tensor([[-1]]))
        values, _ = IdCosine(model)(z, target, torch.zeros(1))
        values.sum().backward()
        assert float(values) == 0.0
        assert z.grad is not None
        assert not z.grad.any()


class TestBpr:
    def test_it_falls_when_the_hidden_id_rises(self):
        model = encoder()
        low, high = (
            score_of(IdBpr(model, negatives=500), model, sign * model.id_table()[:1] * 1e3, [0])[0] for sign in (-1, 1)
        )
        assert high < 0.7 < low

    def test_own_ids_are_no_negatives(self):
        model = encoder()
        with torch.no_grad():
            model.id_table()[:] = 0.0
            model.id_table()[7] = 1e4  # would cost a fortune
        value, _ = score_of(IdBpr(model, negatives=500), model, torch.ones(1, 8), [3], [7])
        assert value == pytest.approx(np.log(2), abs=1e-5)

    def test_lengths_cost_what_the_paper_says(self):
        model, z = encoder(), torch.randn(1, 8)
        values = []
        for decay in (0.0, 0.1):
            torch.manual_seed(0)
            values.append(score_of(IdBpr(model, negatives=400, decay=decay), model, z, [3])[0])
        torch.manual_seed(0)
        drawn = torch.randint(30, (1, 400))
        others = model.id_table()[drawn[drawn != 3]].square().sum(dim=1).mean()
        length = z.square().sum() + model.id_table()[3].square().sum() + others
        assert values[1] - values[0] == pytest.approx(0.05 * float(length), rel=1e-4)

    def test_rows_have_negatives_of_their_own(self):
        model = encoder()
        target = IdTarget(torch.tensor([[3, 4], [5, 0]]), torch.tensor([[True, True], [True, False]]),
                          torch.tensor([[7, 8], [9, -1]]))  # fmt: skip
        with torch.no_grad():
            model.id_table()[:] = torch.eye(30, 8)
            model.id_table()[[3, 4, 7, 8]] = 1e4  # own ids of the first row alone
        values, _ = IdBpr(model, negatives=300)(-torch.ones(2, 8), target, torch.zeros(2))
        assert values[0] > 100  # its ids lie far below all others, its own ones do not count
        assert 0 <= values[1] < 10  # the other row meets them as negatives, and they lie below

    @pytest.mark.parametrize("places", [False, True])
    def test_shared_negatives_are_those_of_the_row(self, places):
        """Slow reference: each asked id against every id drawn for its vector, the row's own left out."""
        torch.manual_seed(0)
        model, vectors = encoder(), torch.randn(2, 2, 8) if places else torch.randn(2, 8)
        asked, known = torch.tensor([[3, 4], [5, 0]]), torch.tensor([[True, True], [True, False]])
        target = IdTarget(asked, known, torch.tensor([[7, 8], [9, -1]]))
        torch.manual_seed(1)
        values, _ = IdBpr(model, shared=40)(vectors, target, torch.zeros(2))
        torch.manual_seed(1)
        drawn = torch.randint(30, (3 if places else 2, 40))
        table, expected, place = model.id_table(), torch.zeros(2, 2), 0
        for row, (ids, own) in enumerate([([3, 4], {3, 4, 7, 8}), ([5], {5, 9})]):
            for k, wanted in enumerate(ids):
                z = vectors[row, k] if places else vectors[row]
                others = [i for i in drawn[place if places else row].tolist() if i not in own]
                gaps = [float((table[wanted] - table[i]) @ z) for i in others]
                expected[row, k] = float(np.mean(np.log1p(np.exp(-np.array(gaps)))))
                place += 1
        if not places:
            expected = expected.sum(dim=1) / known.sum(dim=1)
        torch.testing.assert_close(values.detach(), expected, atol=1e-4, rtol=1e-4)


def test_options_are_checked():
    model = encoder()
    with pytest.raises(ValueError, match="decay"):
        IdBpr(model, decay=-1.0)
    with pytest.raises(ValueError, match="negatives"):
        IdBpr(model, negatives=0)
    with pytest.raises(ValueError, match="shared"):
        IdBpr(model, shared=-1)
    with pytest.raises(ValueError, match="sampled"):
        IdSoftmax(model, sampled=-1)
    with pytest.raises(ValueError, match="sampled"):
        IdCosine(model, sampled=0)
    with pytest.raises(ValueError, match="temperature"):
        IdCosine(model, temperature=0.0)


class TestObjective:
    @pytest.mark.parametrize("options", [SETS, {**SETS, "tied": False, "depth": 2}, ATTENTION])
    def test_it_learns_which_ids_go_together(self, options):
        torch.manual_seed(0)
        rows = [list(np.random.default_rng(i).permutation(10)[:7] + 10 * (i % 3)) for i in range(60)]
        batch, model = batch_of(*rows), encoder(options)
        objective = Objective.from_config({"name": "masked-ids"}, SPEC, model)
        train(objective, batch, 60)
        scores = model(batch).pooled @ model.id_table().T
        own = scores.view(60, 3, 10).mean(dim=2)
        assert (own.argmax(dim=1) == torch.arange(60) % 3).float().mean() > 0.9

    def test_what_is_not_hidden_cannot_be_asked_for(self):
        options = {"name": "masked-ids", "views": {"context": {"mask": None}}}
        objective = Objective.from_config(options, SPEC, encoder())
        with pytest.raises(InputError, match="hides nothing"):
            objective(batch_of([1, 2, 3]), 0, 0)

    def test_places_ask_for_their_own_id(self):
        options = {
            "name": "masked-ids", "heads": {"predictor": {"name": "predictor", "width": 8, "depth": 1, "heads": 2}},
            "terms": {"hidden": {"site": "target", "head": "predictor"}},
        }  # fmt: skip
        objective = Objective.from_config(options, SPEC, encoder(ATTENTION))
        outcome = objective(batch_of([1, 2, 3, 4], [5, 6]), 0, 0)
        outcome.loss.backward()
        assert torch.isfinite(outcome.loss)

    def test_it_is_no_objective_for_signals(self):
        assert "masked-ids" in shipped_id_objectives()
        assert not set(shipped_id_objectives()) & set(shipped_objectives())
        spec = SequenceSpec(axes=("time_s",), patch_shape=(4,))
        with pytest.raises(InputError, match="values, not ids"):
            Objective.from_config({"name": "masked-ids"}, spec, build("encoder", SETS, spec))


class TestSetEncoder:
    @settings(max_examples=20, deadline=None)
    @given(st.permutations(list(range(6))), st.integers(0, 4))
    def test_order_and_padding_change_nothing(self, order, extra):
        batch, model = batch_of([1, 2, 3, 4, 5, 6], [7, 8, 9]), encoder().eval()
        mixed = pad(batch.patches(torch.tensor([order] * 2)), 6 + extra)
        assert torch.allclose(model(batch).pooled, model(mixed).pooled, atol=1e-6)

    def test_a_row_without_patches_is_finite(self):
        batch = batch_of([1, 2])
        assert torch.isfinite(encoder()(batch.replace(valid=batch.valid & False)).pooled).all()

    def test_a_table_of_its_own_needs_ids(self):
        with pytest.raises(InputError, match="table of their own"):
            build("encoder", {**SETS, "tied": False}, SequenceSpec(axes=("time_s",), patch_shape=(4,)))

    def test_layers_are_a_partition_of_the_parameters(self):
        model = encoder({**SETS, "tied": False})
        grouped = [p for group in model.layer_groups() for p in group]
        assert len(grouped) == len(set(grouped)) == len(list(model.parameters()))


class TestKnown:
    def test_it_is_without_effect_until_it_is_learned(self):
        plain, told = encoder(), encoder()
        tell_known(told, KnownIds([np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)]))
        batch = batch_of([1, 2, 3])
        assert torch.equal(plain(batch).pooled, told(batch).pooled)
        torch.nn.init.ones_(told.embed.known[0].map.weight)
        assert not torch.allclose(plain(batch).pooled, told(batch).pooled)

    def test_it_is_no_weight(self):
        model = encoder()
        assert not [name for name in model.state_dict() if name.endswith("known.0.values")]

    def test_its_shape_is_part_of_the_spec(self):
        with pytest.raises(ValueError, match="known_of_ids"):
            SequenceSpec(axes=("a",), patch_shape=(1,), vocabulary=(3,), known_of_ids=(1, 2))
        with pytest.raises(RuntimeError):
            tell_known(encoder(), KnownIds([np.zeros((30, 4), np.float32)]))


class TestGraph:
    # two groups of people who never take what the others take
    taken = sparse.csr_matrix(np.kron(np.eye(2), np.ones((5, 15))) * (np.random.default_rng(0).random((10, 30)) < 0.5))

    def told(self, **options):
        model = encoder({**GRAPH, **options})
        tell_known(model, KnownIds([np.zeros((30, 3), np.float32)], self.taken))
        return model

    def test_vectors_are_the_mean_of_propagations(self):
        model = self.told(layers=4)  # there and back twice: people have no vectors of their own here
        rows, ids = (np.maximum(np.asarray(self.taken.sum(axis=axis)).ravel(), 1e-9) ** -0.5 for axis in (1, 0))
        normal = sparse.diags(rows) @ self.taken @ sparse.diags(ids)
        once = (normal.T @ normal).toarray()
        start = model.embed.tables[0].weight.detach().numpy()
        expected = (start + once @ start + once @ once @ start) / 5
        assert np.allclose(model.id_table().detach().numpy(), expected, atol=1e-5)

    def test_the_gradient_is_that_of_the_dense_operator(self):
        model, batch = self.told(), batch_of([1, 2], [16])
        weight = model.embed.tables[0].weight
        (model(batch).pooled @ model.id_table().T).square().sum().backward()
        size = weight.grad.norm()
        ahead, step = [], 1e-2
        for sign in (1, -1):
            with torch.no_grad():
                weight += sign * step * weight.grad / size
                ahead.append(float((model(batch).pooled @ model.id_table().T).square().sum()))
                weight -= sign * step * weight.grad / size
        assert (ahead[0] - ahead[1]) / (2 * step) == pytest.approx(float(size), rel=0.02)

    def test_nothing_spreads_between_groups_that_share_nothing(self):
        model = self.told(layers=3)
        before = model.id_table().detach().clone()
        with torch.no_grad():
            model.embed.tables[0].weight[:15] += 1.0
        assert torch.equal(model.id_table()[15:], before[15:])
        assert not torch.allclose(model.id_table()[:15], before[:15])

    def test_it_can_be_copied_and_trained_on(self):
        model, batch = self.told(), batch_of([1, 2, 3], [16, 17])
        objective = Objective.from_config({"name": "jepa-ids"}, SPEC, model)
        # each step with a table of its own: a stale one would fail to go backward twice
        train(objective, batch, 3, lr=0.1)

    def test_without_a_graph_it_says_so(self):
        with pytest.raises(InputError, match="occurred together"):
            encoder(GRAPH)(batch_of([1]))
        with pytest.raises(InputError, match="values"):
            build("encoder", GRAPH, SequenceSpec(axes=("time_s",), patch_shape=(4,)))
