"""Subject leak: who is asked about, what is held out, and that a signature is found and noise is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from downstream_fakes import CLASSES, FakeEncoder, FakeModality, FakeStore
from hypothesis import given
from hypothesis import strategies as st
from omnipatch.core.config import EvaluateConfig, ProbeConfig, Recipe
from omnipatch.core.data.items import Items
from omnipatch.core.downstream.evaluate import evaluate
from omnipatch.core.downstream.leak import MOST_ITEMS, MOST_SUBJECTS, leak_table, line_up, subject_leak
from omnipatch.core.downstream.rows import merge
from omnipatch.core.report.words import subject_leak as told

RECIPE = Recipe(
    probe=ProbeConfig(linear_c=(0.1,), token_scale=(0.3,)),
    evaluate=EvaluateConfig(models=("pretrained", "random-init", "hand-features"), protocols=("linear",), seeds=1),
)


def items(subject, record) -> Items:
    n = len(subject)
    empty = np.empty((n, 0), np.float32)
    return Items(np.arange(n), np.zeros(n, np.float32), np.zeros(n, np.int64), empty, empty, np.asarray(subject),
                 np.asarray(record), "window", CLASSES)  # fmt: skip


def run(store, recipe=RECIPE):
    return evaluate(recipe, FakeModality(), store, store.split(), FakeEncoder(0), lambda seed: FakeEncoder(seed + 1))


@given(st.integers(2, 9), st.integers(2, 6), st.integers(1, 4), st.integers(0, 99))
def test_recordings_are_held_out_whole(subjects, records, windows, seed):
    subject = np.repeat(np.arange(subjects), records * windows)
    record = np.repeat(np.arange(subjects * records), windows)
    found = line_up(items(subject, record), np.arange(len(subject)), np.zeros(len(subject)), seed)
    assert found is not None
    assert (found.subjects, found.within) == (subjects, "recording")
    assert not set(record[found.fitted]) & set(record[found.asked])
    for side in (found.fitted, found.asked):
        assert set(subject[side]) == set(range(subjects))
    assert len(np.unique(found.who[found.items])) == subjects


def test_of_one_recording_the_last_part_is_held_out_after_a_gap():
    found = line_up(items([0] * 20 + [1] * 20, [0] * 20 + [1] * 20), np.arange(40), np.tile(np.arange(20.0), 2))
    assert found is not None
    assert found.within == "part of a recording"
    first, last = np.sort(found.fitted % 20), np.sort(found.asked % 20)
    assert first.max() + 2 < last.min()
    assert len(np.unique(last)) == 7


def test_only_the_given_side_is_looked_at_and_it_stays_cheap():
    subject = np.repeat(np.arange(150), 60)
    labelled = np.flatnonzero(subject < 140)
    found = line_up(items(subject, subject * 2 + np.arange(len(subject)) % 2), labelled, np.zeros(len(subject)))
    assert found is not None
    assert found.subjects == MOST_SUBJECTS
    assert subject[found.items].max() < 140
    assert np.bincount(subject[found.fitted]).max() == MOST_ITEMS


@pytest.mark.parametrize(("subject", "record"), [([0, 1, 2], [0, 1, 2]), ([0, 0], [0, 1]), ([-1] * 4, [0, 1, 2, 3])])
def test_people_who_cannot_be_divided_are_not_asked_about(subject, record):
    known = items(subject, record)
    assert line_up(known, np.arange(len(subject)), np.zeros(len(subject))) is None


def test_a_signature_is_found_and_noise_is_chance():
    rng = np.random.default_rng(0)
    subject = np.repeat(np.arange(10), 40)
    lineup = line_up(items(subject, np.arange(400) // 4), np.arange(400), np.zeros(400))
    assert lineup is not None
    noise = rng.normal(size=(400, 16)).astype(np.float32)
    signature = noise + 4 * rng.normal(size=(10, 16))[subject].astype(np.float32)
    assert subject_leak(lineup, signature).accuracy > 0.95
    assert subject_leak(lineup, noise).accuracy == pytest.approx(0.1, abs=0.12)


def test_it_stands_beside_the_results_of_all_folds():
    store = FakeStore(windows=8, noise=0.1)
    found = run(store)
    second = replace(found, rows=[], leak={(model, 1): leak for (model, _), leak in found.leak.items()})
    table = leak_table(merge([found, second]))
    assert [entry["model"] for entry in table] == ["pretrained", "random-init", "hand-features"]
    assert {entry["folds"] for entry in table} == {2}
    share = {entry["model"]: entry["accuracy"] for entry in table}
    assert share["pretrained"] > 0.5 > share["hand-features"]
    assert told({"subject_leak": table}).startswith(
        "Subject leak, which of 8 training subjects a held-out recording comes from (chance 12.5%): pretrained "
    )


def test_it_does_not_need_a_frozen_protocol_and_can_be_left_out():
    store = FakeStore(windows=4)
    quick = replace(RECIPE, finetune=replace(RECIPE.finetune, steps=1, eval_every=0))
    tuned = replace(quick, evaluate=replace(RECIPE.evaluate, models=("pretrained",), protocols=("finetune",)))
    alone = run(store, tuned).leak["pretrained", 0]
    assert alone.accuracy == run(store).leak["pretrained", 0].accuracy
    assert not run(store, replace(tuned, evaluate=replace(tuned.evaluate, subject_leak=False))).leak


def test_one_window_a_person_is_a_note():
    found = run(FakeStore(windows=1), replace(RECIPE, evaluate=replace(RECIPE.evaluate, models=("pretrained",))))
    store = FakeStore(windows=1, unit="subject")
    found = run(store, replace(RECIPE, evaluate=replace(RECIPE.evaluate, models=("pretrained",))))
    assert not found.leak
    assert any(note.startswith("no subject leak") for note in found.notes)
