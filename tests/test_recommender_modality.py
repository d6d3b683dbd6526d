"""The recommender adapter: logs, histories, questions, catalogues, and the conformance kit."""

from __future__ import annotations

import numpy as np
import pytest
from omnipatch import InputError
from omnipatch.core.config import SplitConfig
from omnipatch.core.data.questions import WITHIN
from omnipatch.core.data.splits import make_splits
from omnipatch.core.data.store import WindowStore
from omnipatch.core.modality import Source
from omnipatch.core.testing import modality_checks
from omnipatch.modalities.recommender import Recommender, RecommenderConfig
from omnipatch.modalities.recommender.catalogue import Catalogue
from omnipatch.modalities.recommender.interactions import Interactions
from omnipatch.modalities.recommender.log import histories, make_log
from omnipatch.modalities.recommender.splits import InteractionSplit, given_split, split_interactions
from recommender_kit import random_interactions


@modality_checks(Recommender)
def test_contract(check):
    check()


def shown_and_asked(windows):
    """{(person, side): (items shown, items asked)}"""
    return {
        (w.subject, w.question.side if w.question else ""): (
            set(w.values[0].astype(int)), set(w.question.ids.tolist()) if w.question else set(),
        )
        for w in windows
    }  # fmt: skip


class TestLog:
    def test_it_gives_back_every_part(self):
        split = split_interactions(random_interactions(0, 20, 30, 0.4))
        log = make_log(split, "x")
        for side, part in enumerate((split.train, split.validation, split.test)):
            found = {(h.user, int(i)) for h in histories(log) for i in h.items[h.side == side]}
            assert found == set(zip(part.user.tolist(), part.indices.tolist(), strict=True))

    def test_only_some_choose_and_the_others_learn_it(self):
        split = split_interactions(random_interactions(0, 1000, 20, 0.4))
        log = make_log(split, "x", choosing=0.3)
        asked = [bool((h.side == 1).any()) for h in histories(log)]
        assert 250 < sum(asked) <= 300
        assert sum(len(h.items) for h in histories(log)) == len(split.train) + len(split.validation) + len(split.test)

    def test_in_a_small_market_more_of_them_choose(self):
        split = split_interactions(random_interactions(0, 50, 60, 0.4))
        assert all((h.side == 1).any() for h in histories(make_log(split, "x", choosing=0.3)))

    def test_histories_run_from_old_to_new(self):
        interactions = random_interactions(1, time=True)
        log = make_log(split_interactions(interactions, "leave-one-out"), "x")
        assert "place" in log.sensors
        for history in histories(log):
            assert history.ordered
            # the test comes last of all, the validation just before it
            assert history.side.tolist() == sorted(history.side.tolist())

    def test_a_log_without_people_or_items_is_refused(self):
        log = make_log(split_interactions(random_interactions(0)), "x")
        for gone in ("user", "item"):
            kept = [i for i, name in enumerate(log.sensors) if name != gone]
            part = type(log)(log.signals[kept], tuple(log.sensors[i] for i in kept), 1.0, "1", "x")
            with pytest.raises(InputError, match=f"no {gone}s"):
                list(histories(part))


class TestQuestions:
    split = split_interactions(random_interactions(3, 30, 40, 0.4))

    def windows(self, task="items", choosing=1.0):
        log = make_log(self.split, "x", choosing)
        modality = Recommender(catalogue=Catalogue.fit([log], 4))
        return modality.windows(log, task)

    def test_nothing_that_is_asked_for_is_shown(self):
        for (who, side), (shown, asked) in shown_and_asked(self.windows()).items():
            assert asked, (who, side)
            assert not shown & asked, (who, side)

    def test_the_test_shows_all_that_came_before(self):
        found = shown_and_asked(self.windows())
        for who in {who for who, side in found if side == "validation"}:
            learned, chosen = found[who, "validation"]
            assert found[who, "test"][0] == learned | chosen

    def test_without_a_task_all_but_the_test_is_shown(self):
        found = shown_and_asked(self.windows(task=None))
        everything = self.split.everything_but_test
        assert {who for who, _ in found} == {everything.users[u] for u in np.unique(everything.user)}
        for (who, _), (shown, asked) in found.items():
            assert not asked
            assert shown == set(everything.history(int(who)).tolist())

    def test_who_has_nothing_to_show_has_no_window(self):
        train = Interactions.from_codes(np.array([0, 1]), np.array([0, 1]), users=3, items=3)
        later = Interactions.from_codes(np.array([0, 2]), np.array([1, 0]), users=3, items=3)
        split = given_split(train, later, Interactions.from_codes(np.array([1]), np.array([2]), users=3, items=3))
        log = make_log(split, "x")
        windows = Recommender(catalogue=Catalogue.fit([log], 2)).windows(log, "items")
        assert {w.subject for w in windows} == {"0", "1"}


class TestCatalogue:
    def test_what_is_known_comes_from_what_is_learned_alone(self):
        split = split_interactions(random_interactions(5, 40, 30, 0.4))
        everything = Catalogue.fit([make_log(split, "x")], 4)
        other = Interactions.from_codes(split.test.user, (split.test.indices + 7) % 30, users=40, items=30)
        changed = type(split)(split.train, split.validation, other, split.kind)
        assert np.array_equal(everything.known, Catalogue.fit([make_log(changed, "x")], 4).known)

    def test_it_survives_saving(self):
        catalogue = Catalogue(np.array(["naïve", "b c", "7"]), np.ones((3, 2), np.float32))
        back = Catalogue.of_arrays(catalogue.arrays())
        assert back.items.tolist() == catalogue.items.tolist()
        assert np.array_equal(back.known, catalogue.known)

    def test_items_are_known_by_name(self):
        modality = Recommender(catalogue=Catalogue(np.array(["b", "a", "d"]), np.zeros((3, 5), np.float32)))
        log = Interactions.from_arrays(["u", "u", "u"], ["a", "b", "c"])
        recording = make_log(InteractionSplit(log, *_parts(log), "given"), "x")
        assert modality.catalogue.codes_of(recording).tolist() == [1, 0, -1]

    def test_a_foreign_catalogue_is_refused(self):
        modality = Recommender(catalogue=Catalogue(np.array(["x", "y"]), np.zeros((2, 5), np.float32)))
        with pytest.raises(InputError, match="knows none of these items"):
            modality.windows(modality.example(np.random.default_rng(0)))

    def test_it_is_fitted_once(self):
        fitted = Recommender().fitted(Recommender().demo(0))
        assert fitted.fitted(Recommender().demo(1)) is fitted
        again = Recommender().restored(fitted.learned())
        assert again.spec == fitted.spec
        assert np.array_equal(again.known_of_ids().numbers[0], fitted.known_of_ids().numbers[0])


def _parts(log):
    """Anything that makes a split of a log, for tests that look at its items only."""
    empty = log.keep(np.zeros(len(log), bool))
    return (empty, empty)


def test_a_stretch_of_a_log_has_fewer_people(tmp_path):
    modality = Recommender()
    whole = modality.windows(modality.open(Source(None, "x", seed=0)))
    part = modality.windows(modality.open(Source(None, "x", seed=0, stop_s=100.0)))
    assert 0 < len(part) < len(whole)


@pytest.mark.parametrize("option", [{"choosing": 0.0}, {"augment_keep": 1.5}, {"positions": 0}])
def test_options_are_checked(option):
    with pytest.raises(InputError, match=r"modality\."):
        RecommenderConfig(**option)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    modality = Recommender(RecommenderConfig(positions=4))
    sources = modality.demo()
    cache = tmp_path_factory.mktemp("cache")
    return WindowStore.prepare(modality.fitted(sources), sources, modality.task("items"), cache)


class TestSides:
    def test_everybody_is_on_every_side_and_no_answer_in_pretraining(self, store):
        (split,) = make_splits(store, SplitConfig())
        assert split.kind == WITHIN
        trained, test = (split.windows(store, side) for side in ("pretrain", "test"))
        assert len(np.unique(store.subject_code[trained])) == len(trained) == len(store.subjects)
        assert set(store.subject_code[test]) <= set(store.subject_code[trained])
        seen = {(int(store.subject_code[w]), int(i)) for w in trained for i in store.batch([w]).ids.flatten()}
        for side in ("validation", "test"):
            windows = split.windows(store, side)
            owner = np.repeat(store.subject_code[windows], store.asked.counts[windows])
            assert not seen & set(zip(owner.tolist(), store.asked.flat(windows)["ids"].tolist(), strict=True))

    def test_people_can_be_held_out_instead(self, store):
        (split,) = make_splits(store, SplitConfig(kind="holdout"))
        trained, test = (split.windows(store, side) for side in ("pretrain", "test"))
        assert not set(store.subject_code[trained]) & set(store.subject_code[test])
        assert (store.asked_side[test] == "test").all()

    def test_windows_belong_to_people_not_to_the_recording(self, store):
        assert len(store.records) == 1 < len(store.subjects)
        assert (store.subject_code >= 0).all()
