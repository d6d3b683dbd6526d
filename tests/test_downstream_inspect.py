"""Looking into a trained classifier: its mistakes, and what its decisions rest on."""

from __future__ import annotations

import numpy as np
import pytest
from downstream_fakes import CLASSES, FakeEncoder, FakeModality, FakeStore
from omnipatch import InputError
from omnipatch.core.config import FinetuneConfig
from omnipatch.core.downstream.finetune import train_classifier
from omnipatch.core.downstream.mistakes import mistakes
from omnipatch.core.downstream.occlusion import occlusion
from omnipatch.core.downstream.trial import Trial

STORE = FakeStore(subjects=8, windows=8)


@pytest.fixture(scope="module")
def trained():
    config = FinetuneConfig(steps=120, batch_size=16, lr=3e-3, eval_every=0)
    return train_classifier(Trial.of(STORE, STORE.split()), FakeModality(), STORE, FakeEncoder(), config)


def test_a_trial_of_a_split_has_its_sides_and_hides_the_labels_of_the_test_side():
    trial, items, split = Trial.of(STORE, STORE.split(), seed=3), STORE.items(), STORE.split()
    assert trial.seed == 3
    for side in ("train", "validation", "test"):
        assert np.array_equal(getattr(trial, side), split.items(items, STORE, side))
    assert (trial.items.label[trial.test] == -1).all()
    assert np.array_equal(trial.items.label[trial.train], items.label[trial.train])


class TestMistakes:
    def test_exactly_the_wrong_ones_the_surest_first(self, trained):
        items, asked = STORE.items(), Trial.of(STORE, STORE.split()).test
        found = mistakes(items, asked, trained.probability)
        wrong = asked[trained.probability.argmax(1) != items.label[asked]]
        assert sorted(m.item for m in found) == sorted(wrong)
        sureness = [m.sureness for m in found]
        assert sureness == sorted(sureness, reverse=True)

    def test_each_says_what_and_where(self, trained):
        items, asked = STORE.items(), Trial.of(STORE, STORE.split()).test
        first = mistakes(items, asked, trained.probability)[0]
        row = int(np.flatnonzero(asked == first.item)[0])
        assert first.truth == CLASSES[items.label[first.item]]
        assert first.said == CLASSES[trained.probability[row].argmax()] != first.truth
        assert (first.window, first.at) == (items.window[first.item], pytest.approx(items.at[first.item]))
        assert first.subject == STORE.subject_code[first.window]

    def test_items_without_a_label_are_neither_right_nor_wrong(self, trained):
        trial = Trial.of(STORE, STORE.split())
        assert mistakes(trial.items, trial.test, trained.probability) == []

    def test_several_labels_at_once_are_refused(self):
        from dataclasses import replace

        items = replace(STORE.items(), label=np.eye(3, dtype=np.float32)[STORE.items().label])
        with pytest.raises(InputError, match="multi-label"):
            mistakes(items, np.arange(3), np.zeros((3, 3)))


class TestOcclusion:
    def rare(self) -> int:
        """A test item of the class that its bump alone shows."""
        items, asked = STORE.items(), Trial.of(STORE, STORE.split()).test
        return int(asked[items.label[asked] == 2][0])

    def test_it_is_the_fall_of_the_probability(self, trained):
        from omnipatch.core.downstream.classifier import predict
        from omnipatch.core.downstream.layout import ItemLayout

        items, item = STORE.items(), self.rare()
        asked = np.array([item])
        layout = ItemLayout(items, asked)
        before = predict(trained.model, STORE, layout, asked, multilabel=False, batch_size=4, precision="32-true")[0]
        fall = occlusion(trained.model, STORE, items, item, code=2)
        hidden = int(fall.argmax())

        class Without:
            """The store with one patch hidden."""

            task, lengths = STORE.task, STORE.lengths

            def batch(self, rows):
                whole = STORE.batch(rows)
                valid = whole.valid.clone()
                valid[:, hidden] = False
                return whole.replace(valid=valid)

        after = predict(trained.model, Without(), layout, asked, multilabel=False, batch_size=4, precision="32-true")[0]
        assert fall.shape == (40,)
        assert fall[hidden] == pytest.approx(before[2] - after[2], abs=1e-5)

    def test_what_counts_lies_near_the_event(self, trained):
        items, item = STORE.items(), self.rare()
        fall = np.abs(occlusion(trained.model, STORE, items, item))
        near = np.abs(STORE.coords[:, 0] - items.at[item]) < 0.25
        assert fall[near].sum() > 5 * fall[~near].sum()

    def test_batches_change_nothing(self, trained):
        items, item = STORE.items(), self.rare()
        one, many = (occlusion(trained.model, STORE, items, item, 2, batch_size=n) for n in (7, 64))
        np.testing.assert_allclose(one, many, atol=1e-5)
