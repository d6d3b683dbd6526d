"""Edge reconstruction: the right pairs are asked for, evenly, whoever computes them and however the batch is padded."""

from __future__ import annotations

import math

import pytest
import torch
from blocks_kit import SPEC, batch, insert_invalid, objective, run
from omnipatch.core.blocks.links import LinkLoss, Links
from omnipatch.core.blocks.targets import Request, Target
from omnipatch.core.blocks.views import IndexSet, View
from omnipatch.core.errors import InputError
from omnipatch.core.rng import RowRandom

TERM = {"site": "target", "source": "context", "head": "bonds", "target": "links", "loss": "links", "weight": 0.1}
WITH_LINKS = {
    "name": "graph-mae",
    "heads": {"bonds": {"name": "predictor"}},
    "targets": {"links": {"name": "links"}},
    "terms": {"links": TERM},
}


def ask(made, index, valid=None, rows=None, **options):
    valid = torch.ones_like(index, dtype=torch.bool) if valid is None else valid
    rng = RowRandom(0, 0, made.window)
    request = Request(View(made), lambda *_: None, rows, IndexSet(index, valid), rng=rng)  # type: ignore[arg-type]
    return Links(SPEC, None, None, **options)(request)


def test_links_are_the_edges_among_the_wanted_and_as_many_pairs_without():
    made, index = batch(20, 10), torch.tensor([[0, 1, 2, 6, 7, 9]]).expand(20, -1)
    values = ask(made, index).values
    assert torch.equal(values.nan_to_num(nan=2.0), values.transpose(1, 2).nan_to_num(nan=2.0))
    assert values.diagonal(dim1=1, dim2=2).isnan().all()
    for row in values:
        pairs = {(a, b): float(row[a, b]) for a in range(6) for b in range(a) if not math.isnan(row[a, b])}
        assert {pair for pair, v in pairs.items() if v == 1.0} == {(1, 0), (2, 1), (4, 3)}
        assert sum(v == 0.0 for v in pairs.values()) == 3
    drawn = (values == 0).sum(dim=0)[torch.tril_indices(6, 6, -1).unbind()]
    free = drawn[drawn > 0]
    assert len(free) == 12  # every pair without an edge is drawn at times
    assert float(free.float().std()) < 4.0


def test_more_negatives_than_there_are_take_all():
    values = ask(batch(1, 4), torch.arange(4).unsqueeze(0), negatives=50.0).values[0]
    assert not values[torch.tril_indices(4, 4, -1).unbind()].isnan().any()


def test_fillers_and_invalid_patches_are_in_no_pair():
    valid = torch.ones(2, 6, dtype=torch.bool)
    valid[:, 3] = False
    made = batch(2, 6, valid=valid)
    index = torch.tensor([[0, 1, 2, 3, 4, 0]] * 2)
    got = ask(made, index, torch.tensor([[True] * 5 + [False]] * 2))
    assert got.valid.tolist() == [[True, True, True, False, True, False]] * 2
    assert got.values[:, [3, 5]].isnan().all()
    assert got.values[:, :, [3, 5]].isnan().all()


def test_padding_changes_no_draw():
    made = batch(3, 8)
    wide, now = insert_invalid(made, [2, 5])
    index = torch.tensor([[0, 2, 3, 5, 6, 7]] * 3)
    plain, padded = ask(made, index), ask(wide, torch.cat([now[index], now[index][:, :2]], 1),
                                         torch.tensor([[True] * 6 + [False] * 2] * 3))  # fmt: skip
    torch.testing.assert_close(padded.values[:, :6, :6], plain.values, equal_nan=True)


def test_repeated_rows_ask_for_their_own_windows_links():
    made, rows = batch(3, 8), torch.tensor([1, 1, 0])
    index = torch.tensor([[0, 1, 2, 4, 5]] * 3)
    got = ask(made, index, rows=rows).values
    torch.testing.assert_close(got, ask(made, index).values[rows], equal_nan=True)


def test_the_loss_is_that_of_a_slow_loop():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 5, 6, generator=generator)
    values = torch.randint(0, 3, (2, 5, 5), generator=generator).float()
    values = torch.where(values == 2, torch.nan, values)
    valid = torch.ones(2, 5, dtype=torch.bool)
    got, weight = LinkLoss()(x, Target(values, valid), torch.zeros(2))
    for r in range(2):
        for i in range(5):
            total, n = 0.0, 0
            for j in range(5):
                if not math.isnan(values[r, i, j]):
                    p = 1 / (1 + math.exp(-float(x[r, i] @ x[r, j]) / math.sqrt(6)))
                    total -= math.log(p if values[r, i, j] == 1 else 1 - p)
                    n += 1
            assert float(got[r, i]) == pytest.approx(total / max(n, 1), rel=1e-4)
            assert float(weight[r, i]) == n


def test_a_term_of_links_learns_who_belongs_together():
    made = batch(16, 12)
    built = objective(WITH_LINKS, name="graph", hidden="dropped")
    first = float(built(made, 0, 0).terms["links"])
    run(built, made, 60, lr=3e-3)
    assert float(built(made, 0, 0).terms["links"]) < 0.7 * first


def test_padding_changes_no_loss_of_links():
    made = batch(6, 12)
    wide, _ = insert_invalid(made, [0, 5, 5])
    a, b = (objective(WITH_LINKS, name="graph")(each, 3, 5).terms for each in (made, wide))
    torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_what_cannot_work_says_so():
    with pytest.raises(InputError, match="negatives must be positive"):
        objective({**WITH_LINKS, "targets": {"links": {"name": "links", "negatives": 0}}}, name="graph")
    with pytest.raises(InputError, match="needs edges"):
        objective(WITH_LINKS)(batch().replace(edges=None), 0, 0)
