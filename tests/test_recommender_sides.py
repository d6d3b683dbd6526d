"""Side graphs: alignment with the codes of a model, what is missing, friends as patches, and that all is saved."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch import InputError
from omnipatch.core.batching import collate
from omnipatch.core.blocks.propagation import normalised
from omnipatch.core.train.model_io import fresh_encoder
from omnipatch.modalities.recommender import Recommender, RecommenderConfig
from omnipatch.modalities.recommender.beside import side_scores
from omnipatch.modalities.recommender.catalogue import Catalogue
from omnipatch.modalities.recommender.demo import make_market
from omnipatch.modalities.recommender.log import histories, make_log
from omnipatch.modalities.recommender.side_graphs import SideGraph, from_triples
from omnipatch.modalities.recommender.sides import SIDES, Coded, friends_of, joined, side_numbers
from omnipatch.modalities.recommender.splits import split_interactions
from scipy import sparse
from sklearn.linear_model import Ridge

POSITIONS = 4
BOTH = RecommenderConfig(positions=POSITIONS, sides=("social", "genre"), friends=3)


def pairs(rows, edges, of="user", name="social"):
    head, tail = np.array(edges, np.int32).reshape(-1, 2).T
    return SideGraph(name, of, rows, rows, head, tail, np.zeros(len(head), np.int16), (name,))


@pytest.fixture(scope="module")
def fitted():
    return Recommender(BOTH).fitted(Recommender().demo(0))


def log_of(market, sides=None, seed=0):
    log = make_log(split_interactions(market.interactions, seed=seed), "x")
    return dataclasses.replace(log, extras={**log.extras, SIDES: sides or {"social": market.social}})


class TestJoined:
    @settings(max_examples=25)
    @given(st.permutations(range(5)), st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1))
    def test_codes_of_the_log_do_not_matter(self, order, edges):
        """The same people under other codes, and the edges in another order."""
        edges = [(a, b) for a, b in edges if a != b] or [(0, 1)]
        plain = Coded({"social": pairs(5, edges)}, np.arange(0), {u: u for u in range(5)})
        moved = [(order[a], order[b]) for a, b in edges][::-1]
        other = Coded({"social": pairs(5, moved)}, np.arange(0), {order[u]: u for u in range(5)})
        one, two = (joined([part], "social", 0, 5) for part in (plain, other))
        assert (one.adjacency != two.adjacency).nnz == 0
        np.testing.assert_allclose(*(side_numbers([graph], 3)[0] for graph in (one, two)), atol=1e-5)

    def test_people_without_history_are_left_out(self):
        part = Coded({"social": pairs(4, [(0, 1), (1, 2), (2, 3)])}, np.arange(0), {0: 0, 1: 1, 3: 2})
        found = joined([part], "social", 0, 3)
        assert sorted(zip(found.head.tolist(), found.tail.tolist(), strict=True)) == [(0, 1)]
        assert found.linked.tolist() == [True, True, False]

    def test_entities_of_two_logs_stay_apart(self):
        items = np.array(["a", "b", "c"])
        facts = from_triples([("a", "by", "x"), ("b", "by", "x"), ("c", "by", "y")], items)
        parts = [Coded({"knowledge": facts}, np.array(codes), {}) for codes in ([0, 1, 2], [3, 4, -1])]
        found = joined(parts, "knowledge", 5, 0)
        assert (found.rows, found.nodes) == (5, 5 + 2 * 2)
        assert found.linked.tolist() == [True] * 5
        assert found.adjacency[0].indices.tolist() != found.adjacency[3].indices.tolist()

    def test_an_unknown_side_is_named_with_the_nearest(self):
        part = Coded({"social": pairs(2, [(0, 1)])}, np.arange(0), {0: 0, 1: 1})
        with pytest.raises(InputError, match=r"modality\.sides.*socila.*'social'"):
            joined([part], "socila", 0, 2)
        with pytest.raises(InputError, match=r"expected none.*leave modality\.sides empty"):
            joined([Coded({}, np.arange(0), {})], "social", 0, 2)

    def test_it_is_asked_for_by_name(self):
        with pytest.raises(InputError, match=r"no such side graph.*expected genre, social"):
            Recommender(RecommenderConfig(sides=("knowledge",))).fitted(Recommender().demo(0))


@settings(max_examples=20)
@given(st.randoms())
def test_the_order_of_facts_does_not_matter(random):
    items = np.array([f"i{n}" for n in range(6)])
    facts = [(f"i{n}", relation, f"{relation}{n % 3}") for n in range(5) for relation in ("by", "of")]
    shuffled = random.sample(facts, len(facts))
    one, two = from_triples(facts, items), from_triples(shuffled, items)
    assert (one.adjacency != two.adjacency).nnz == 0
    assert one.relations == two.relations
    assert np.array_equal(side_numbers([one], 3)[0], side_numbers([two], 3)[0])


class TestNumbers:
    def test_who_is_not_linked_has_zeros_and_the_flag(self):
        (found,) = side_numbers([pairs(5, [(0, 1), (1, 2)])], 2)
        assert found[:, -1].tolist() == [0, 0, 0, 1, 1]
        assert (found[3:, :-1] == 0).all()
        np.testing.assert_allclose(np.square(found[:3, :-1]).mean(axis=0), 1, rtol=1e-3)

    def test_those_who_took_most_are_shown_first(self):
        found = friends_of([pairs(5, [(0, 1), (0, 2), (0, 3), (0, 4)])], np.array([9, 2, 0, 7, 5]), 2)
        assert found[0].indices.tolist() == [3, 4]
        assert found[2].indices.tolist() == [0]
        assert friends_of([pairs(2, [(0, 1)])], np.array([1, 1]), 0).nnz == 0


class TestCatalogue:
    def test_side_numbers_stand_beside_those_of_the_interactions(self, fitted):
        known, plain = fitted.catalogue, Catalogue.fit([fitted.load(s) for s in fitted.demo(0)], POSITIONS)
        assert np.array_equal(known.known[:, : POSITIONS + 1], plain.known)
        assert known.known.shape[1] == 2 * (POSITIONS + 1)
        assert known.known_people.shape[1] == 1 + POSITIONS + 1
        assert known.known_friends.shape[1] == 2 * (POSITIONS + 1)

    def test_what_is_tested_changes_nothing(self):
        market = make_market(np.random.default_rng(1), users=40, items=30)
        split = split_interactions(market.interactions)
        other = dataclasses.replace(split, test=split.test.keep(np.zeros(len(split.test), bool)))
        found = []
        for one in (split, other):
            log = make_log(one, "x")
            log = dataclasses.replace(log, extras={**log.extras, SIDES: {"social": market.social}})
            found.append(Catalogue.fit([log], 3, sides=("social",)))
        assert np.array_equal(found[0].known_friends, found[1].known_friends)
        assert (found[0].friends != found[1].friends).nnz == 0

    def test_it_survives_saving(self, fitted):
        again = Recommender(BOTH).restored(fitted.learned())
        assert again.spec == fitted.spec
        for one, other in zip(again.known_of_ids().numbers, fitted.known_of_ids().numbers, strict=True):
            assert np.array_equal(one, other)
        assert (again.catalogue.friends != fitted.catalogue.friends).nnz == 0
        assert not {"user007", "7"} & {str(value) for value in again.catalogue.people.digests}

    def test_without_sides_nobody_is_told_apart(self):
        plain = Recommender(RecommenderConfig(positions=POSITIONS)).fitted(Recommender().demo(0))
        assert plain.spec.kinds == ("item",)
        assert set(plain.learned()) == {"items", "known", "indptr", "indices"}


class TestPatches:
    def test_friends_stand_beside_the_history(self, fitted):
        log = fitted.load(fitted.demo(0)[0])
        window = fitted.windows(log)[5]
        row = fitted.patchify(window)
        people, names = fitted.catalogue.people, log.extras["users"]
        person = people.code_of(window.subject)
        assert row.ids[0, row.kind[0] == 1].tolist() == [[0, person, 0]]
        shown = row.ids[0, row.kind[0] == 2, 2].tolist()
        user = names.tolist().index(window.subject)
        friends = make_market(np.random.default_rng(0)).social.adjacency[user].indices
        assert 0 < len(shown) <= BOTH.friends
        assert set(shown) <= {people.code_of(str(names[friend])) for friend in friends}

    def test_somebody_new_has_a_history_alone(self, fitted):
        log = fitted.load(fitted.demo(0)[0])
        renamed = dataclasses.replace(log, extras={**log.extras, "users": np.char.add("new ", log.extras["users"])})
        for known, new in zip(fitted.windows(log)[:5], fitted.windows(renamed)[:5], strict=True):
            row = fitted.patchify(new)
            assert (row.kind == 0).all()
            assert row.ids[0, :, 0].tolist() == known.values[0].astype(int).tolist()

    def test_what_a_friend_is_like_is_read(self, fitted):
        encoder = fresh_encoder({"name": "set", "width": 8}, fitted.spec, 0, fitted.known_of_ids())
        batch = collate([fitted.patchify(window) for window in fitted.windows(fitted.load(fitted.demo(0)[0]))[:6]])
        with torch.no_grad():
            encoder.embed.known[2].map.weight.normal_()
        assert (batch.kind == 2).any()
        alone = batch.replace(valid=batch.valid & (batch.kind < 2))
        assert not torch.allclose(encoder(batch).pooled, encoder(alone).pooled)

    def test_patches_can_be_told_apart(self, fitted):
        for window in fitted.windows(fitted.load(fitted.demo(0)[0]))[:20]:
            row = fitted.patchify(window)
            places = torch.stack([row.kind[0], row.group[0]], dim=1)
            assert len(places.unique(dim=0)) == row.n_patches


def test_friends_tell_of_taste():
    """The planted gain: positions of friends tell a person's tastes without the history."""
    market = make_market(np.random.default_rng(3))
    known = Catalogue.fit([log_of(market)], 8, sides=("social",))
    taste = np.stack([market.taste[h.user] for h in histories(log_of(market))])
    count = np.maximum(np.diff(known.friends.indptr), 1)[:, None]
    friends = known.friends @ known.known_friends[:, :9] / count
    half = len(taste) // 2
    score = Ridge(1.0).fit(friends[:half], taste[:half]).score(friends[half:], taste[half:])
    assert score > 0.2


class TestBeside:
    """Rankings without training that look at side graphs too."""

    def test_friends_are_those_of_the_people_who_took_the_same(self, fitted):
        known = fitted.catalogue
        history = known.train.matrix[:3]
        taken = torch.from_numpy(normalised(known.train.matrix).toarray())
        links = ((known.friends + known.friends.T).toarray() > 0).astype(np.float32)
        size = np.sqrt(links.sum(axis=1).clip(min=1))
        expected = (
            torch.from_numpy(history.toarray()) @ taken.T @ torch.from_numpy(links / size / size[:, None]) @ taken
        )
        np.testing.assert_allclose(side_scores(known, POSITIONS)["friends"](history), expected, atol=1e-5)

    def test_facts_bring_items_of_a_kind_together(self, fitted):
        market, known = make_market(np.random.default_rng(0)), fitted.catalogue
        scores = side_scores(known, POSITIONS)["facts"](sparse.identity(len(known), format="csr", dtype=np.float32))
        same = market.item_taste[:, None] == market.item_taste
        taken = known.train.item_degree > 0
        assert scores[taken][same[taken]].mean() > scores[taken][~same[taken]].mean() + 0.1

    def test_they_are_rankers_where_the_data_have_sides(self, fitted):
        plain = Recommender().fitted(Recommender().demo(0)).ranking().rankers()
        found = fitted.ranking().rankers()
        assert set(found) - set(plain) == {"gf-cf + friends", "gf-cf + facts"}
        assert list(found)[: len(plain)] == list(plain)
        taken = fitted.catalogue.train.matrix
        alone, both = (found[name][0](taken)(taken[:5]) for name in ("gf-cf", "gf-cf + friends"))
        assert both.shape == alone.shape
        assert not np.allclose(both, alone)

    def test_what_was_saved_ranks_alike(self, fitted):
        again, taken = Recommender(BOTH).restored(fitted.learned()), fitted.catalogue.train.matrix
        for name in ("gf-cf + friends", "gf-cf + facts"):
            one, other = (m.ranking().rankers()[name][0](taken)(taken[:5]) for m in (fitted, again))
            np.testing.assert_allclose(one, other, atol=1e-5)
