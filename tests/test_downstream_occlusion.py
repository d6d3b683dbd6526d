"""Occlusion over many items: it finds the place and the part that carry a planted class, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from downstream_fakes import FakeEncoder, FakeModality, FakeStore
from hypothesis import given
from hypothesis import strategies as st
from omnipatch.core.config import EvaluateConfig, FinetuneConfig, ProbeConfig, Recipe
from omnipatch.core.downstream.evaluate import evaluate
from omnipatch.core.downstream.falls import join, mean_falls, occlusion_table
from omnipatch.core.downstream.finetune import train_classifier
from omnipatch.core.downstream.occlusion import MOST_TOKENS, occlude
from omnipatch.core.downstream.readout import Readout
from omnipatch.core.downstream.rows import merge
from omnipatch.core.downstream.targets import even_sample
from omnipatch.core.downstream.trial import Trial
from omnipatch.core.seeing import Seeing, without_values
from omnipatch.core.sequence import PatchSequence, SequenceSpec

CARRIER = 3  # the lead that alone shows the class, in the first half of its values
LEADS = 5


class Named(Seeing):
    """Leads are places; the halves of a patch are parts."""

    def place_names(self, where):
        return [f"lead {round(float(lead))}" for _, lead in where]

    def without_parts(self, batch):
        half = torch.arange(8) < 4
        return {"low": without_values(batch, half), "high": without_values(batch, ~half)}


class LeadStore(FakeStore):
    """Windows of five leads of which one carries the class; `group` is the lead."""

    def __init__(self, **options):
        super().__init__(unit="window", signal=0.0, patches=10, **options)
        n, tokens = len(self), LEADS * 4
        rng = np.random.default_rng(1)
        self.coords = np.stack([np.tile(np.arange(4) * 0.1, LEADS), np.repeat(np.arange(LEADS), 4)], 1).astype("f4")
        self.group = torch.from_numpy(np.repeat(np.arange(LEADS), 4) * 10)
        self.lengths = np.full(n, tokens)
        values = rng.normal(size=(n, tokens, 8)) * 0.3 + 1.0
        shapes = rng.normal(size=(3, 4)) * 2
        values[:, CARRIER * 4 : CARRIER * 4 + 4, :4] += shapes[self._items.label][:, None]
        self.values = torch.from_numpy(values.astype(np.float32))
        self._items = replace(self._items, features=np.empty((n, 0), np.float32))

    def batch(self, indices):
        batch = super().batch(indices)
        return batch.replace(group=self.group.expand(len(batch), -1).clone())


STORE = LeadStore(subjects=8, windows=8)


@pytest.fixture(scope="module")
def trained():
    config = FinetuneConfig(steps=80, batch_size=16, lr=4e-3, eval_every=0)
    trial, readout = Trial.of(STORE, STORE.split()), Readout.of(STORE.task)
    return train_classifier(trial, FakeModality(), STORE, FakeEncoder(), config, readout=readout).model


@pytest.fixture(scope="module")
def found(trained):
    return look(trained)


def look(model, seeing=None, store=STORE, **options):
    items = store.items()
    return occlude(model, store, seeing or Named(), items, STORE.split().items(items, store, "test"), **options)


class TestOcclude:
    def test_the_lead_that_carries_the_class_is_needed_and_no_other(self, found):
        falls = mean_falls(found.by_place, found.label, found.subject, 200)
        assert found.names == tuple(f"lead {i}" for i in range(LEADS))
        assert found.group.tolist() == [0, 10, 20, 30, 40]
        for row in range(4):  # all classes alike, and each
            others = np.delete(falls.mean[row], CARRIER)
            assert falls.mean[row, CARRIER] > 0.1
            assert falls.mean[row, CARRIER] > 5 * np.abs(others).max()
        assert falls.low[0, CARRIER] > 0

    def test_the_part_that_carries_the_class_is_needed(self, found):
        low, high = mean_falls(found.by_part, found.label, found.subject, 200).mean[0]
        assert found.parts == ("low", "high")
        assert low > 0.3
        assert low > 5 * abs(high)

    def test_a_fall_is_the_difference_of_log_probabilities(self, trained, found):
        items = STORE.items()
        test = STORE.split().items(items, STORE, "test")
        whole = STORE.batch(items.window[test])
        hidden = whole.replace(valid=whole.valid & (whole.group != 10 * CARRIER))
        with torch.no_grad():
            scores = [trained(with_events(batch)).log_softmax(-1)[:, 0] for batch in (whole, hidden)]
        np.testing.assert_allclose(found.by_place[..., CARRIER], scores[0] - scores[1], atol=1e-5)

    def test_where_is_the_mean_of_the_place(self, found):
        np.testing.assert_allclose(found.where, [[0.15, lead] for lead in range(LEADS)], atol=1e-6)

    def test_batches_change_nothing(self, trained, found):
        again = look(trained, batch_size=5)
        np.testing.assert_allclose(again.by_place, found.by_place, atol=1e-5)
        np.testing.assert_allclose(again.by_part, found.by_part, atol=1e-5)

    def test_at_most_so_many_items_all_classes_alike(self, trained):
        few = look(trained, most=6)
        assert few.label.sum(axis=0).tolist() == [2, 2, 2]

    def test_many_tokens_mean_fewer_items(self, trained, monkeypatch):
        cost = LEADS * 4 * (LEADS + 1)
        monkeypatch.setattr("omnipatch.core.downstream.occlusion.MOST_TOKENS", 9 * cost)
        assert len(look(trained).label) == 9
        assert 200 * cost < MOST_TOKENS

    def test_a_window_without_a_place_says_nothing_about_it_and_the_last_place_is_never_hidden(self, trained):
        class Lossy(LeadStore):
            def batch(self, indices):
                batch = super().batch(indices)
                valid = batch.valid.clone()
                valid[0] = self.group == 10 * CARRIER  # one lead is left
                valid[1, self.group == 0] = False
                return batch.replace(valid=valid)

        by_place = look(trained, store=Lossy(subjects=8, windows=8)).by_place
        assert np.isnan(by_place[0]).all()
        assert np.isnan(by_place[1, :, 0]).all()
        assert np.isfinite(by_place[1, :, 1:]).all()
        assert np.isfinite(by_place[2:]).all()

    def test_a_modality_that_names_nothing_is_not_asked(self, trained):
        assert look(trained, seeing=Seeing()) is None

    def test_several_classes_at_once(self, trained):
        items = STORE.items()
        many = replace(items, label=np.eye(3, dtype=np.float32)[items.label])
        test = STORE.split().items(items, STORE, "test")
        found = occlude(trained, STORE, Named(), many, test)
        falls = mean_falls(found.by_place, found.label, found.subject, 0)
        assert falls.mean[0].argmax() == CARRIER


def with_events(batch: PatchSequence) -> PatchSequence:
    from omnipatch.core.sequence import Events

    one = (len(batch), 1)
    return batch.replace(
        events=Events(torch.zeros(one), torch.zeros(one).long(), torch.ones(one).bool(), torch.zeros(*one, 0))
    )


class TestEvaluation:
    """One model a fold is looked into: the pretrained one, trained as far as the recipe goes, first seed."""

    class Modality(FakeModality):
        def seeing(self):
            return Named()

    def evaluated(self, *protocols: str, **changes):
        recipe = Recipe(
            finetune=FinetuneConfig(steps=2, batch_size=8, eval_every=0),
            probe=ProbeConfig(attentive_steps=2),
            evaluate=EvaluateConfig(models=("pretrained", "scratch"), protocols=protocols, seeds=2, **changes),
        )
        return evaluate(recipe, self.Modality(), STORE, STORE.split(), FakeEncoder(0), lambda seed: FakeEncoder(seed))

    def test_the_fine_tuned_one(self):
        both = self.evaluated("attentive", "finetune", label_fractions=(0.5, 1.0), occlusion=12)
        assert list(both.occlusion) == [("pretrained", "finetune", 1.0, 0, 0)]
        [found] = both.occlusion.values()
        assert len(found.label) == 12
        assert found.parts == ("low", "high")
        test = {int(STORE.subject_code[w]) for w in range(len(STORE)) if STORE.subjects[STORE.subject_code[w]]
                in STORE.split().test}  # fmt: skip
        assert set(found.subject) <= test

    def test_else_the_attentive_one_and_none_on_request(self):
        assert [key[1] for key in self.evaluated("attentive").occlusion] == ["attentive"]
        assert not self.evaluated("finetune", occlusion=0).occlusion

    def test_folds_are_told_together(self):
        one = self.evaluated("finetune", occlusion=9)
        key, found = next(iter(one.occlusion.items()))
        other = replace(one, occlusion={(*key[:4], 1): replace(found, subject=found.subject + 100)})
        table = occlusion_table(merge([one, other]), 20)
        assert table["items"] == 18
        assert table["subjects"] == 2 * len(set(found.subject))
        assert table["places"]["names"] == list(found.names)


class TestMeans:
    def test_a_mean_over_classes_alike_is_not_one_over_items(self):
        label = np.eye(2)[[0, 0, 0, 1]]
        fall = np.broadcast_to(np.array([1.0, 1.0, 1.0, 3.0])[:, None, None], (4, 2, 1))
        falls = mean_falls(fall, label, np.array([0, 1, 2, 3]), 50)
        assert falls.mean[:, 0].tolist() == [2.0, 1.0, 3.0]

    def test_only_the_fall_of_the_own_class_counts(self):
        fall = np.array([[[1.0], [100.0]], [[100.0], [2.0]]])
        assert mean_falls(fall, np.eye(2), np.array([0, 1]), 10).mean[:, 0].tolist() == [1.5, 1.0, 2.0]

    def test_an_interval_is_over_subjects_not_items(self):
        """Hundred equal items of each of two subjects are two pieces of evidence."""
        subject = np.repeat([0, 1], 100)
        fall = np.where(subject == 0, 0.0, 1.0)[:, None, None]
        falls = mean_falls(fall, np.ones((200, 1)), subject, 500)
        assert (falls.low[0, 0], falls.mean[0, 0], falls.high[0, 0]) == (0.0, 0.5, 1.0)

    def test_a_class_that_nobody_has_is_unknown_and_spoils_nothing(self):
        falls = mean_falls(np.ones((2, 2, 1)), np.array([[1, 0], [1, 0]]), np.array([0, 1]), 20)
        assert falls.mean[:2, 0].tolist() == [1.0, 1.0]
        assert np.isnan([falls.mean[2, 0], falls.low[2, 0]]).all()

    def test_folds_are_joined_by_place(self, found):
        part = replace(
            found, group=found.group[[0, 3]], names=("lead 0", "lead 3"), where=found.where[[0, 3]],
            by_place=found.by_place[..., [0, 3]],
        )  # fmt: skip
        both = join([part, found])
        assert both.names == found.names
        n = len(found.label)
        assert len(both.label) == len(both.by_part) == 2 * n
        assert np.isnan(both.by_place[:n, :, [1, 2, 4]]).all()
        np.testing.assert_array_equal(both.by_place[:n, :, 3], found.by_place[..., 3])
        np.testing.assert_array_equal(both.by_place[n:], found.by_place)
        np.testing.assert_array_equal(both.where, found.where)

    @given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(1, 50))
    def test_an_even_sample_takes_as_many_as_it_may_and_spares_the_rare(self, label, most):
        label = np.array(label)
        kept = even_sample(label, most)
        assert len(set(kept)) == len(kept) == min(most, len(label))
        taken, there = np.bincount(label[kept], minlength=4), np.bincount(label, minlength=4)
        for c in range(4):  # a class is cut only where no other gets much more
            assert taken[c] == there[c] or taken[c] + 1 >= taken.max()


class TestWithoutValues:
    SPEC = SequenceSpec(axes=("time_s", "lead"), patch_shape=(3,))

    def batch(self):
        coords = torch.tensor([[0.0, 1.0], [1.0, 1.0], [0.0, 2.0]]).repeat(2, 1, 1)
        values = torch.tensor([[[1.0, 5, 9], [3, 5, 9], [7, 0, 0]], [[5.0, 5, 9], [torch.nan, 5, 9], [9, 0, 0]]])
        return PatchSequence.build(self.SPEC, coords, values=values, group=torch.tensor([[1, 1, 2], [1, 1, 2]]))

    def test_hidden_values_become_the_mean_of_their_place_and_nothing_else_changes(self):
        batch = self.batch()
        after = without_values(batch, torch.tensor([True, False, False])).values
        assert after[..., 0].tolist()[0] == [3.0, 3.0, 8.0]
        assert after[1, 0, 0] == 3.0
        assert after[1, 1, 0].isnan()  # what was missing stays missing
        assert torch.equal(after[..., 1:], batch.values[..., 1:])
        assert batch.values[0, 0, 0] == 1.0

    def test_invalid_patches_have_no_say(self):
        batch = self.batch()
        values, valid = batch.values.clone(), batch.valid.clone()
        values[1, 0], valid[1, 0] = 1e9, False
        after = without_values(batch.replace(values=values, valid=valid), torch.ones(3, dtype=torch.bool)).values
        assert after[0, 0].tolist() == [2.0, 5.0, 9.0]
