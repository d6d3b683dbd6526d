"""The temporal branch: tokens by where and when they are, whatever their order; it starts as if it were not there."""

from __future__ import annotations

import pytest
import torch
from blocks_kit import SPEC, batch, insert_invalid, reorder
from downstream_fakes import FakeEncoder, FakeModality, FakeStore
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.config import FinetuneConfig
from omnipatch.core.downstream.finetune import train_classifier
from omnipatch.core.downstream.readout import Readout
from omnipatch.core.downstream.temporal import MultiScaleConvolution, TemporalBranch, TokenGrid
from omnipatch.core.downstream.trial import Trial
from torch import Tensor, nn

WIDTH = SPEC.patch_size


def sensors(rows: int = 3, places: int = 2, steps: int = 5):
    """Patches of several sensors over time, the second row shorter and later than the others."""
    made = batch(rows, places * steps)
    when = torch.arange(steps).repeat(places) * 0.1
    coords = torch.stack([when, torch.arange(places).repeat_interleave(steps).float()], -1).expand(rows, -1, -1).clone()
    coords[1:2, :, 0] += 12.35
    return made.replace(coords=coords, valid=made.valid & ~((torch.arange(rows) == 1).unsqueeze(1) & (when > 0.25)))


def branch(blocks: int = 2) -> TemporalBranch:
    torch.manual_seed(3)
    made = TemporalBranch(WIDTH, SPEC, blocks, dropout=0.0).eval()
    nn.init.normal_(made.leave.weight, std=0.3)
    return made


def through(model: TemporalBranch, made) -> Tensor:
    clean = made.values.masked_fill(~made.valid.unsqueeze(-1), 0.0)
    coords = made.coords.masked_fill(~made.valid.unsqueeze(-1), 0.0)
    return model(clean, 2.0 * clean, made.valid, coords)


def test_tokens_stand_by_place_and_step_and_come_back():
    made = sensors()
    grid = TokenGrid.of(made.valid, made.coords, SPEC.axis_scales)
    laid = grid.lay(made.values)
    assert laid.shape == (6, WIDTH, 5)
    for row in range(3):
        for patch in made.valid[row].nonzero().flatten().tolist():
            place, step = divmod(patch, 5)
            assert torch.equal(laid[2 * row + place, :, step], made.values[row, patch])
    assert int(grid.present.sum()) == int(made.valid.sum())
    assert torch.equal(grid.take(laid)[made.valid], made.values[made.valid])
    assert not grid.take(laid)[~made.valid].any()


def test_tokens_at_one_place_and_step_are_averaged():
    made = sensors(rows=1)
    same = made.replace(coords=made.coords[:, :5].repeat(1, 2, 1))
    laid = TokenGrid.of(same.valid, same.coords, SPEC.axis_scales).lay(same.values)
    assert laid.shape == (1, WIDTH, 5)
    torch.testing.assert_close(laid[0].T, (same.values[0, :5] + same.values[0, 5:]) / 2)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 100), at=st.lists(st.integers(0, 10), min_size=1, max_size=4))
def test_order_and_invalid_patches_do_not_matter(seed, at):
    made, model = sensors(), branch()
    plain = through(model, made)
    order = torch.stack([torch.randperm(10, generator=torch.Generator().manual_seed(seed + r)) for r in range(3)])
    mixed = through(model, reorder(made, order))
    seen = torch.gather(made.valid, 1, order)
    torch.testing.assert_close(mixed[seen], plain.gather(1, order.unsqueeze(-1).expand_as(plain))[seen])
    wide, now = insert_invalid(made, at)
    torch.testing.assert_close(through(model, wide)[:, now][made.valid], plain[made.valid])


def test_rows_do_not_see_each_other_nor_when_they_began():
    made, model = sensors(), branch()
    alone = through(model, made.rows([1]))
    torch.testing.assert_close(alone[0][made.valid[1]], through(model, made)[1][made.valid[1]])
    later = made.replace(coords=made.coords + torch.tensor([7.0, 0.0]))
    torch.testing.assert_close(
        through(model, later)[made.valid], through(model, made)[made.valid], atol=1e-5, rtol=1e-4
    )


def test_a_block_looks_two_steps_along_its_own_place():
    made, model = sensors(rows=1, steps=7), branch(blocks=1)
    values = made.values.clone().requires_grad_()
    through(model, made.replace(values=values))[0, 3].sum().backward()
    heard = values.grad[0].abs().sum(dim=1) > 0
    assert heard.tolist() == [False, True, True, True, True, True, False] + [False] * 7


def test_a_step_that_is_missing_stays_empty():
    block, present = MultiScaleConvolution(8, 0.0), torch.tensor([[[1.0, 0.0, 1.0, 1.0]]])
    out = block(torch.randn(1, 8, 4) * present, present)
    assert not out[0, :, 1].any()
    assert out[0, :, [0, 2, 3]].any()


def test_a_new_branch_changes_nothing_and_learns():
    made = sensors()
    model = TemporalBranch(WIDTH, SPEC, 2, dropout=0.0)
    assert torch.equal(through(model, made)[made.valid], made.values[made.valid])
    nn.init.normal_(model.leave.weight)
    through(model, made).square().sum().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum()] == []


class OrderStore(FakeStore):
    """Whether one shape comes before another: the mean over a window is the same for both."""

    def __init__(self):
        super().__init__(subjects=10, windows=12, patches=6, unit="window")
        self.values = 0.1 * torch.randn(self.values.shape, generator=torch.Generator().manual_seed(0))
        shapes = torch.randn(2, 8, generator=torch.Generator().manual_seed(5))
        first = torch.from_numpy(self._items.label % 2)
        for lead in (0, 6):
            self.values[:, lead + 2] += 2 * shapes[first]
            self.values[:, lead + 3] += 2 * shapes[1 - first]
        self._items.label[:] = first.numpy()


@pytest.mark.parametrize(("blocks", "steps", "low", "high"), [(0, 60, 0.0, 0.75), (2, 160, 0.9, 1.0)])
def test_fine_tuning_sees_the_order_of_events_with_it_only(blocks, steps, low, high):
    store = OrderStore()
    trial = Trial.of(store, store.split())
    config = FinetuneConfig(
        steps=steps, batch_size=24, lr=1e-2, encoder_rate=1.0, layer_decay=1.0, weight_average=0.9, eval_every=0,
        temporal_blocks=blocks, dropout=0.0, augment=False,
    )  # fmt: skip
    trained = train_classifier(
        trial, FakeModality(), store, FakeEncoder(), config, readout=Readout.of(store.task, "mean")
    )
    right = trained.probability.argmax(axis=1) == store.items().label[trial.test]
    assert low <= right.mean() <= high
    assert (trained.model.temporal is None) == (blocks == 0)


def test_the_attentive_probe_has_none():
    store = FakeStore(subjects=6, windows=4)
    config = FinetuneConfig(steps=1, batch_size=8, eval_every=0, temporal_blocks=2, head_start=0.01)
    trial = Trial.of(store, store.split())
    probe = train_classifier(trial, FakeModality(), store, FakeEncoder(), config, frozen=True)
    assert probe.model.temporal is None
    assert train_classifier(trial, FakeModality(), store, FakeEncoder(), config).model.temporal is not None
