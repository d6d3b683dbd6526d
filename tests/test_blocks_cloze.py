"""The encoder of sequences with gaps: what a gap knows, and that serving asks what training taught."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ids_kit import IDS, SPEC, batch_of, encoder, told, train
from omnipatch import InputError
from omnipatch.core.batching import pad
from omnipatch.core.blocks.registry import build
from omnipatch.core.blocks.views import IndexSet
from omnipatch.core.objective import Objective

CLOZE = {"name": "cloze", "width": 16, "depth": 2, "heads": 2, "end": "low"}
POSITIONS = ["fourier", "rotary", "none"]


def all_but(batch, hidden: list[int]) -> IndexSet:
    """Visible places of rows that hide one each."""
    n = batch.n_patches
    index = torch.tensor([[i for i in range(n) if i != gone] for gone in hidden])
    return IndexSet(index, batch.valid.gather(1, index))


class TestEncoder:
    @pytest.mark.parametrize("positions", POSITIONS)
    def test_a_history_is_continued_as_a_hidden_last_place_was_filled(self, positions):
        """Ranking appends a gap to what is shown; training hid the last. It must be the same question."""
        model = encoder({**CLOZE, "positions": positions}).eval()
        served = model(batch_of([4, 9, 2])).pooled
        trained = batch_of([4, 9, 2, 27])
        taught = model(trained, None, all_but(trained, [3]))
        torch.testing.assert_close(served, taught.pooled, atol=1e-5, rtol=0)
        torch.testing.assert_close(taught.pooled, taught.states[:, 3], atol=1e-6, rtol=0)

    def test_rows_that_hide_their_last_and_rows_that_show_it_share_a_batch(self):
        model, batch = encoder(CLOZE).eval(), batch_of([1, 2, 3], [4, 5, 6])
        both = model(batch, None, all_but(batch, [2, 0]))
        for row, hidden in enumerate([2, 0]):
            one = batch.rows([row])
            alone = model(one, None, all_but(one, [hidden]))
            torch.testing.assert_close(both.pooled[[row]], alone.pooled, atol=1e-5, rtol=0)

    def test_a_gap_does_not_know_its_content(self):
        model = encoder(CLOZE).eval()
        made = [model(b, None, all_but(b, [1])) for b in (batch_of([1, 2, 3]), batch_of([1, 29, 3]))]
        assert torch.equal(made[0].states, made[1].states)
        assert torch.equal(made[0].pooled, made[1].pooled)

    @pytest.mark.parametrize("positions", POSITIONS)
    @settings(max_examples=10, deadline=None)
    @given(order=st.permutations(list(range(4))), extra=st.integers(0, 3), hidden=st.integers(0, 3))
    def test_places_are_read_not_positions_in_a_list(self, positions, order, extra, hidden):
        model, batch = encoder({**CLOZE, "positions": positions}).eval(), batch_of([1, 2, 3, 4])
        mixed = pad(batch.patches(torch.tensor([order])), 4 + extra)
        made = model(batch, None, all_but(batch, [hidden]))
        other = model(mixed, None, all_but(mixed, [order.index(hidden)]))
        torch.testing.assert_close(made.pooled, other.pooled, atol=1e-5, rtol=0)
        torch.testing.assert_close(made.states[:, order], other.states[:, :4], atol=1e-5, rtol=0)
        torch.testing.assert_close(model(batch).pooled, model(mixed).pooled, atol=1e-5, rtol=0)

    def test_order_matters_where_it_is_looked_at(self):
        for positions, differs in (("fourier", True), ("none", False)):
            model = encoder({**CLOZE, "positions": positions}).eval()
            a, b = (model(batch_of(row)).pooled for row in ([1, 2, 3], [3, 2, 1]))
            assert torch.allclose(a, b, atol=1e-6) != differs

    def test_rows_without_anything_and_sets_without_order_are_finite(self):
        model, batch = encoder(CLOZE).eval(), batch_of([1, 2], [3])
        assert torch.isfinite(model(batch.replace(valid=batch.valid & False)).pooled).all()
        assert torch.isfinite(model(batch.replace(coords=batch.coords * 0)).pooled).all()

    def test_layers_are_a_partition_of_the_parameters(self):
        model = encoder(CLOZE)
        grouped = [p for group in model.layer_groups() for p in group]
        assert len(grouped) == len(set(grouped)) == len(list(model.parameters()))

    def test_an_axis_has_two_ends(self):
        with pytest.raises(InputError, match="low or high"):
            build("encoder", {**CLOZE, "end": "left"}, SPEC)


class TestLongest:
    def test_the_newest_are_read_and_nothing_else(self):
        short, whole = (encoder({**CLOZE, "longest": longest}).eval() for longest in (3, 0))
        long, newest = batch_of([7, 8, 1, 2, 3], [4, 5]), batch_of([1, 2, 3], [4, 5])
        made = short(long, keep_layers=1)
        torch.testing.assert_close(made.pooled, whole(newest).pooled, atol=1e-5, rtol=0)
        assert not torch.allclose(made.pooled[0], whole(long).pooled[0], atol=1e-4)
        assert made.tokens.shape == made.layers[0].shape == (2, 3, 16)
        assert made.index[0].tolist() == [2, 3, 4]
        assert made.valid.tolist() == [[True] * 3, [True, True, False]]

    @settings(max_examples=10, deadline=None)
    @given(order=st.permutations(list(range(5))), extra=st.integers(0, 2))
    def test_they_are_found_by_their_places(self, order, extra):
        model, batch = encoder({**CLOZE, "longest": 3}).eval(), batch_of([7, 8, 1, 2, 3])
        mixed = pad(batch.patches(torch.tensor([order])), 5 + extra)
        torch.testing.assert_close(model(batch).pooled, model(mixed).pooled, atol=1e-5, rtol=0)

    def test_training_asks_for_nothing_that_is_not_read(self):
        """The loss of long rows is that of their ends, gaps included."""
        long, newest = batch_of([7, 8, 1, 2, 3], [9, 9, 4, 5, 6]), batch_of([1, 2, 3], [4, 5, 6])
        one, other = (
            told({"name": "cloze-ids"}, encoder({**CLOZE, "longest": longest})).eval()(batch, 0, 0).loss
            for longest, batch in ((3, long), (0, newest))
        )
        torch.testing.assert_close(one, other)

    def test_a_number_of_patches_is_not_negative(self):
        with pytest.raises(InputError, match="0 or more"):
            build("encoder", {**CLOZE, "longest": -1}, SPEC)


class TestObjective:
    def test_it_learns_what_comes_next(self):
        """Each id is followed by the next one; which ids a history has does not tell which is the last."""
        rng = np.random.default_rng(0)
        rows = [[(start + i) % IDS for i in range(6)] for start in rng.integers(0, IDS, 90)]
        objective = told({"name": "cloze-ids"}, encoder(CLOZE))
        train(objective, batch_of(*rows), 120, lr=0.01)
        model = objective.encoder.eval()
        asked = batch_of(*(row[:5] for row in rows))
        scores = (model(asked).pooled @ model.id_table().T).detach()
        scores[torch.arange(90).unsqueeze(1), asked.ids[..., 0]] = -torch.inf
        right = scores.argmax(dim=1) == torch.tensor([row[5] for row in rows])
        assert right.float().mean() > 0.9

    def test_another_encoder_has_no_states_of_gaps(self):
        objective = Objective.from_config({"name": "cloze-ids"}, SPEC, encoder())
        with pytest.raises(InputError, match=r"encoder\.name cloze"):
            objective(batch_of([1, 2, 3]), 0, 0)

    def test_gradients_are_finite(self):
        objective = told({"name": "cloze-ids"}, encoder({**CLOZE, "dropout": 0.1}))
        objective(batch_of([1, 2, 3, 4], [5, 6], [7]), 0, 0).loss.backward()
        assert all(torch.isfinite(p.grad).all() for p in objective.parameters() if p.grad is not None)
