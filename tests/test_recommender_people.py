"""People who are held out whole, and tasks about people: labels of a file, classes of the demo market."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from cli_kit import omni
from hypothesis import given
from hypothesis import strategies as st
from omnipatch import InputError
from omnipatch.core.config import SplitConfig
from omnipatch.core.data.splits import make_splits
from omnipatch.core.data.store import WindowStore
from omnipatch.modalities.recommender import Recommender, RecommenderConfig
from omnipatch.modalities.recommender.labels import history_features, read_labels
from omnipatch.modalities.recommender.leaks import leak_report
from omnipatch.modalities.recommender.splits import split_interactions
from recommender_kit import random_interactions

SMALL = ("--fast-dev-run", "--modality.positions", 4, "--encoder.width", 8, "--encoder.hidden", 8)


class TestHeldOut:
    @given(st.integers(0, 99), st.booleans())
    def test_people_are_on_one_side_and_nothing_is_lost(self, seed, time):
        whole = random_interactions(seed, users=20, time=time)
        split = split_interactions(whole, "people", 0.3, 0.2, seed)
        people = [set(part.user.tolist()) for part in (split.train, split.validation, split.test)]
        assert not people[0] & people[1] | people[0] & people[2] | people[1] & people[2]
        parts = (split.train, split.shown, split.validation, split.test)
        assert sorted(np.concatenate([part.keys for part in parts])) == whole.keys.tolist()
        assert people[1] | people[2] <= set(split.shown.user.tolist())  # somebody without a history is not asked

    def test_what_came_first_is_shown(self):
        whole = random_interactions(3, users=20, share=0.6, time=True)
        split = split_interactions(whole, "people", 0.3, 0.2)
        for user in set(split.test.user.tolist()):
            shown, asked = (part.time[part.user == user] for part in (split.shown, split.test))
            assert shown.max() <= asked.min()
            assert len(asked) == pytest.approx(0.2 * (len(shown) + len(asked)), abs=0.51)

    def test_nobody_who_has_a_history_counts_as_cold(self):
        report = leak_report(split_interactions(random_interactions(0, users=20), "people", 0.3, 0.2))
        assert (report.overlap, report.cold_users) == (0, 0)

    def test_nothing_of_them_is_learned(self, tmp_path):
        modality = Recommender(RecommenderConfig(positions=4, split="people"))
        sources = modality.demo()
        fitted = modality.fitted(sources)
        store = WindowStore.prepare(fitted, sources, "items", tmp_path)
        (split,) = make_splits(store, SplitConfig())
        assert (split.kind, split.group, split.stamp) == ("holdout", "subject", "")
        sides = {side: split.windows(store, side) for side in ("pretrain", "validation", "test")}
        people = {side: set(store.subject_code[windows].tolist()) for side, windows in sides.items()}
        assert not people["pretrain"] & (people["validation"] | people["test"])
        assert not people["validation"] & people["test"]
        assert sum(map(len, people.values())) == len(store.subjects)
        # the graph that items are placed by holds nothing of them either
        assert len(fitted.catalogue.train) == store.lengths[sides["pretrain"]].sum()
        # without a task only what may be learned from has windows
        assert len(fitted.windows(fitted.load(sources[0]))) == len(sides["pretrain"])


class TestLabels:
    def test_a_table_of_people(self, tmp_path):
        path = tmp_path / "users.csv"
        path.write_text("user,label\nAda,old\nBo,young\nCy,\nAda,old\n")
        assert read_labels(path) == {"Ada": "old", "Bo": "young"}

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("", "labels are a table"),
            ("name,class\nAda,old\n", "labels are a table"),
            ("user,label\nAda,old\n", "two classes"),
            ("user,label\nAda,old\nAda,young\n", "two labels"),
        ],
    )
    def test_bad_tables_are_named(self, tmp_path, text, expected):
        path = tmp_path / "users.csv"
        path.write_text(text)
        with pytest.raises(InputError, match=f"users.csv.*{expected}"):
            read_labels(path)

    def test_windows_of_a_task_show_everything_and_say_who_is_what(self):
        modality = Recommender(RecommenderConfig(positions=4))
        modality = modality.fitted(modality.demo())
        log = modality.load(modality.demo()[0])
        windows = modality.windows(log, "age_group")
        columns = dict(zip(log.sensors, log.signals, strict=True))
        assert sum(window.values.shape[1] for window in windows) == len(columns["item"])
        assert {window.label[0] for window in windows} == {"younger", "older"}
        one = windows[0]
        items = one.values[0].astype(int)
        assert np.allclose(one.hand[:-1], modality.catalogue.known[items].mean(axis=0))
        assert one.hand[-1] == pytest.approx(np.log1p(len(items)))
        assert len(history_features(modality.catalogue, items)) == len(one.hand)

    def test_other_labels_make_other_windows(self, tmp_path):
        path = tmp_path / "users.csv"
        modality = Recommender(RecommenderConfig(positions=4, labels=str(path)))
        found = []
        for at, old in enumerate(("user000", "user001")):
            path.write_text(f"user,label\n{old},old\nuser002,young\n")
            os.utime(path, ns=(at, at))
            sources = modality.relate(modality.demo())
            store = WindowStore.prepare(modality, sources, "people", tmp_path / "cache")
            found.append({store.subjects[store.subject_code[w]] for w in np.flatnonzero(store.labels == 0)})
        assert found == [{"user000"}, {"user001"}]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model of the demo market from which whole people were held out."""
    folder = tmp_path_factory.mktemp("people")
    done = omni("run", "rec-masked", "--modality.split", "people", "--out", folder / "run", "--data.cache",
                folder / "cache", *SMALL)  # fmt: skip
    assert done.code == 0, done.err
    return folder


class TestVerbs:
    def test_people_never_seen_are_ranked_for(self, trained):
        split = json.loads((trained / "run/split.json").read_text())
        (sides,) = split["folds"]
        assert split["kind"] == "holdout"
        assert len(sides["test"]) == 60
        assert not set(sides["test"]) & set(sides["train"])
        found = json.loads((trained / "run/results.json").read_text())
        assert {row["protocol"] for row in found["rows"]} == {"ranking"}

    def test_a_trained_model_is_asked_about_people(self, trained, tmp_path):
        users = tmp_path / "users.csv"
        users.write_text("user,label\n" + "".join(f"user{u:03d},{'ab'[u % 2]}\n" for u in range(200)))
        done = omni("evaluate", "rec-masked", "--from", trained / "run", "--data.task", "people", "--modality.labels",
                    users, "--evaluate.protocols", "knn,linear", "--evaluate.label_fractions", "1.0", "--out",
                    tmp_path / "out", "--data.cache", trained / "cache", "--fast-dev-run")  # fmt: skip
        assert done.code == 0, done.err
        found = json.loads((tmp_path / "out/results.json").read_text())
        assert {(row["model"], row["protocol"]) for row in found["rows"]} >= {
            ("pretrained", "knn"), ("pretrained", "linear"), ("random-init", "linear"), ("hand-features", "linear"),
        }  # fmt: skip
        assert "leaks" not in found

    def test_and_fine_tuned_for_it(self, trained, tmp_path):
        done = omni("finetune", "rec-masked", "--from", trained / "run", "--data.task", "taste", "--evaluate.models",
                    "pretrained,scratch,hand-features,prior", "--out", tmp_path / "out", "--data.cache",
                    trained / "cache", "--fast-dev-run")  # fmt: skip
        assert done.code == 0, done.err
        found = json.loads((tmp_path / "out/results.json").read_text())
        assert {"pretrained", "scratch", "hand-features", "prior"} == {row["model"] for row in found["rows"]}
        # taste decides what people take, so the field's own features tell it
        hand = [row["metrics"]["balanced_accuracy"] for row in found["rows"] if row["model"] == "hand-features"]
        assert min(hand) > 0.5

    def test_labels_of_nobody_here_are_refused(self, trained, tmp_path):
        users = tmp_path / "users.csv"
        users.write_text("user,label\nAda,a\nBo,b\n")
        done = omni("finetune", "rec-masked", "--from", trained / "run", "--data.task", "people", "--modality.labels",
                    users, "--out", tmp_path / "out", "--data.cache", trained / "cache", "--fast-dev-run")  # fmt: skip
        assert (done.code, "nothing is labelled for task people" in done.complaint) == (2, True)
