"""Labels that are numbers: from text to codes, bins and tasks."""

from __future__ import annotations

import numpy as np
import pytest
from data_kit import Toy
from hypothesis import given
from hypothesis import strategies as st
from omnipatch import InputError, Task
from omnipatch.core.data.label_task import label_task
from omnipatch.core.data.numbers import number_bins, number_label, number_of, parse_number
from omnipatch.core.data.shard import encode_label
from omnipatch.core.modality import Source

SCORE = Task("score", "record", (), scale="interval", given=("squat", "7"))


class Rated(Toy):
    """A modality that knows a score and degrees of its own."""

    def tasks(self):
        degrees = Task("degree", "record", ("mild", "severe"), scale="ordinal")
        return {**super().tasks(), "degree": degrees, "score": Task("score", "record", (), scale="interval")}


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_what_is_written_is_read(number):
    assert parse_number(repr(number)) == number
    assert number_label(("squat", repr(number)), SCORE) == number or repr(number) == "7"


@pytest.mark.parametrize("names", [(), ("squat",), ("7",), ("nan",), ("inf",), ("mild",)])
def test_what_is_no_number_labels_nothing(names):
    assert np.isnan(number_of(names, SCORE.given))
    assert np.isnan(encode_label(names, SCORE))


def test_degrees_are_counted_in_their_order():
    task = Task("degree", "record", ("none", "mild", "severe"), scale="ordinal")
    assert [float(encode_label((name,), task)) for name in task.classes] == [0, 1, 2]
    assert np.isnan(encode_label(("unknown",), task))


@given(st.lists(st.one_of(st.just(float("nan")), st.floats(-1e6, 1e6, width=32)), max_size=30))
def test_bins_keep_the_order(values):
    label = np.array(values, np.float32)
    bins = number_bins(label)
    assert ((bins == -1) == np.isnan(label)).all()
    assert set(bins.tolist()) <= {-1, 0, 1, 2, 3}
    known = np.flatnonzero(bins >= 0)
    order = known[np.argsort(label[known], kind="stable")]
    assert (np.diff(bins[order]) >= 0).all()


def named(*labels):
    return [Source(None, f"r{i}", label=label) for i, label in enumerate(labels)]


def test_a_manifest_of_numbers_finds_its_task():
    fractions, whole = named(("1.5",), ("2",), ()), named(("1",), ("10",), ("2",))
    made = Task("manifest", "record", (), scale="interval")
    assert label_task(fractions, Toy()) == made
    assert label_task(fractions, Rated()).name == "score"
    assert label_task(whole, Rated()) == Task("manifest", "record", ("1", "10", "2")), "they may be names"
    assert label_task(whole, Toy(), "interval") == made
    assert label_task(whole, Toy(), "ordinal").classes == ("1", "2", "10")
    assert label_task(fractions, Toy(), "nominal").classes == ("1.5", "2")


def test_names_of_degrees_find_the_task_that_has_an_order():
    listed = named(("severe",), ("mild",))
    assert label_task(listed, Rated()).name == "degree"
    assert label_task(listed, Rated(), "nominal").scale == "nominal"
    with pytest.raises(InputError, match="mild"):
        label_task(named(("mild",), ("1",)), Toy(), "ordinal")
    with pytest.raises(InputError, match="several in one row"):
        label_task(named(("1", "2.5")), Toy(), "interval")
