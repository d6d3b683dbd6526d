"""When things were taken as a coordinate: from a log to patches, and through the command line."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cli_kit import omni
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch import InputError
from omnipatch.core.testing import modality_checks
from omnipatch.core.train.model_io import load_model
from omnipatch.modalities.recommender import Recommender, RecommenderConfig
from omnipatch.modalities.recommender.catalogue import Catalogue
from omnipatch.modalities.recommender.interactions import Interactions
from omnipatch.modalities.recommender.log import histories, make_log
from omnipatch.modalities.recommender.splits import InteractionSplit, split_interactions
from omnipatch.modalities.recommender.tokens import hours_back
from recommender_kit import random_interactions

TIMED = RecommenderConfig(time=True, positions=2)
HOUR, DAY = 3600.0, 86_400.0


class TimedRecommender(Recommender):
    """The adapter with its axis of time, for the checks of every modality."""

    def __init__(self, config=None, catalogue=None):
        super().__init__(config or RecommenderConfig(time=True), catalogue)


@modality_checks(TimedRecommender)
def test_contract(check):
    check()


def whole(interactions: Interactions) -> InteractionSplit:
    nothing = interactions.keep(np.zeros(len(interactions), bool))
    return InteractionSplit(interactions, nothing, nothing, "none")


def patches(interactions: Interactions, config=TIMED):
    """[(item names, coords [k, axis])] of each person, everything shown."""
    log = make_log(whole(interactions), "x", timed=config.time)
    modality = Recommender(config, Catalogue.fit([log], 2))
    rows = [modality.patchify(window) for window in modality.windows(log)]
    return [(modality.catalogue.items[row.ids[0, :, 0]].tolist(), row.coords[0]) for row in rows]


class TestCoordinates:
    since = 1.5e9  # seconds: a clock that float32 cannot hold

    def test_a_history_counts_back_from_its_newest(self):
        when = self.since + np.array([0, 20 * DAY, 20 * DAY + HOUR, 20 * DAY + 4 * HOUR])
        ((items, coords),) = patches(Interactions.from_arrays(["u"] * 4, ["d", "a", "c", "b"], time=when))
        assert items == ["d", "a", "c", "b"]
        assert coords[:, 0].tolist() == [3, 2, 1, 0]
        expected = np.log2(1 + np.array([20 * 24 + 4, 4, 3, 0]))
        np.testing.assert_allclose(coords[:, 1], expected, rtol=1e-5)

    def test_ties_are_one_moment_with_an_order(self):
        ((items, coords),) = patches(Interactions.from_arrays(["u"] * 3, ["b", "a", "c"], time=[self.since] * 3))
        assert items == ["a", "b", "c"]
        assert coords.tolist() == [[2, 0], [1, 0], [0, 0]]

    def test_people_count_from_their_own_newest(self):
        found = Interactions.from_arrays(
            ["u", "u", "v", "v"], ["a", "b", "a", "b"], time=[0, HOUR, 9 * DAY, 9 * DAY + HOUR]
        )
        first, second = patches(found)
        assert torch.equal(first[1], second[1])

    def test_of_a_question_the_newest_shown_item_is_now(self):
        """What is asked for has no part in it: when it will be taken is not known."""
        own = Interactions.from_arrays(["u"] * 3 + ["v"] * 3, ["a", "b", "c"] * 2, time=[0, HOUR, 90 * DAY] * 2)
        log = make_log(split_interactions(own, "leave-one-out"), "x", timed=True)
        modality = Recommender(TIMED, Catalogue.fit([log], 2))
        windows = {w.question.side: modality.patchify(w).coords[0].tolist() for w in modality.windows(log, "items")}
        assert windows == {"validation": [[0, 0]], "test": [[1, 1], [0, 0]]}

    def test_without_it_nothing_changes(self):
        found = random_interactions(0, time=True)
        for (items, coords), (others, own) in zip(
            patches(found), patches(found, RecommenderConfig(positions=2)), strict=True
        ):
            assert items == others
            assert torch.equal(coords[:, :1], own)

    def test_sets_without_order_have_no_time(self):
        found = random_interactions(0)
        with pytest.raises(InputError, match="no times") as caught:
            patches(found)
        assert caught.value.field == "modality.time"
        assert (patches(found, RecommenderConfig(positions=2))[0][1] == 0).all()

    def test_a_log_that_lost_its_times_is_read_as_of_now(self):
        log = make_log(whole(random_interactions(0, time=True)), "x", timed=True)
        modality = Recommender(TIMED, Catalogue.fit([log], 2))
        lost = type(log)(log.signals[:4], log.sensors[:4], 1.0, "1", "x", extras=log.extras)
        for window in modality.windows(lost):
            row = modality.patchify(window)
            assert row.coords.shape[-1] == 2
            assert (row.coords[..., 1] == 0).all()


class TestHoursBack:
    def test_an_unknown_moment_is_the_next_one_known(self):
        assert hours_back(np.array([0, np.nan, 3, np.nan, 5, np.nan])).tolist() == [5, 2, 2, 0, 0, 0]
        assert hours_back(np.full(3, np.nan)).tolist() == [0, 0, 0]

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.one_of(st.just(np.nan), st.floats(0, 1e6)), min_size=1, max_size=12))
    def test_it_never_runs_backwards(self, hours):
        known = iter(sorted(h for h in hours if h == h))
        back = hours_back(np.array([h if h != h else next(known) for h in hours]))
        assert (np.diff(back) <= 0).all()
        assert back[-1] == 0


@pytest.mark.parametrize("seed", range(3))
def test_a_log_gives_times_back(seed):
    """To the minute, after years, and in the order of places."""
    found = random_interactions(seed, time=True)
    found = Interactions.from_codes(
        found.user, found.indices, users=found.users, items=found.items, time=1e9 + 1e6 * found.time
    )
    for history in histories(make_log(whole(found), "x", timed=True)):
        own = slice(*found.indptr[history.user : history.user + 2])
        true = dict(zip(found.indices[own].tolist(), found.time[own], strict=True))
        when = np.array([true[item] for item in history.items.tolist()])
        np.testing.assert_allclose((when - when[0]) / HOUR, history.time, atol=0.02)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("time"), np.random.default_rng(0)
    rows = [f"u{u},i{i},{rng.integers(10**9)}" for u in range(20) for i in rng.permutation(12)[:7]]
    (folder / "own.csv").write_text("\n".join(["user,item,time", *rows]) + "\n")
    done = omni("run", "rec-sequence", "--data.root", folder / "own.csv", "--modality.split", "leave-one-out", "--out",
                folder / "run", "--data.cache", folder / "cache", "--fast-dev-run", "--modality.positions", 4,
                "--modality.time", "--encoder.width", 8, "--encoder.positions", "fourier")  # fmt: skip
    assert done.code == 0, done.err
    return folder


class TestCommandLine:
    def recommended(self, folder, *lines):
        (folder / "history.csv").write_text("\n".join(lines) + "\n")
        return omni("recommend", "--from", folder / "run", "--history", folder / "history.csv", "--k", 3, "--alone",
                    "--overwrite", "--out", folder / "top.csv")  # fmt: skip

    def test_the_axis_is_saved_and_histories_are_ranked_by_it(self, folder):
        model = load_model(folder / "run")
        assert model.encoder.spec.axes == ("steps_back", "log2_hours_back")
        done = self.recommended(
            folder, "user,item,time", "u,i3,2026-01-01", "u,i4,2026-01-02", "v,i3,2020-01-01",
            "v,i4,2026-01-02",
        )  # fmt: skip
        assert done.code == 0, done.err
        rows = [line.split(",") for line in (folder / "top.csv").read_text().splitlines()[1:]]
        scores = {who: [float(score) for person, _, _, score in rows if person == who] for who in "uv"}
        assert len(scores["u"]) == 3
        assert scores["u"] != scores["v"]  # the same items in the same order, years or a day apart

    def test_a_history_without_times_is_one_sentence(self, folder):
        done = self.recommended(folder, "user,item", "u,i3", "u,i4")
        assert done.code == 2
        assert "history" in done.complaint
        assert "have no times" in done.complaint

    def test_so_are_data_without_times(self, tmp_path):
        own = tmp_path / "own.csv"
        own.write_text("user,item\n" + "".join(f"u{u},i{i}\n" for u in range(9) for i in range(6)))
        done = omni("run", "rec-masked", "--data.root", own, "--out", tmp_path / "run", "--fast-dev-run",
                    "--modality.time")  # fmt: skip
        assert done.code == 2
        assert "modality.time" in done.complaint
