"""`trainer.max_passes`: few windows are not passed over as often as a recipe's steps would, whatever way one trains."""

from __future__ import annotations

import csv
import re

import numpy as np
import pytest
from cli_kit import omni
from hypothesis import given
from hypothesis import strategies as st
from omnipatch.core.config import Recipe, TrainerConfig
from omnipatch.core.train.model_io import load_model
from omnipatch.core.train.passes import shortening, within_passes
from test_cli_recommender_own import events, table
from train_kit import assert_bit_equal, recipe, train, weights

OWN = ("--modality.positions", 4, "--encoder.width", 8, "--encoder.hidden", 8, "--evaluate.bootstrap", 20,
       "--trainer.batch_size", 8, "--trainer.max_steps", 50, "--trainer.max_passes", 2)  # fmt: skip


def asked(**trainer) -> Recipe:
    return Recipe(trainer=TrainerConfig(**trainer))


class Crash(Exception):
    """Ends a training."""


def test_a_user_hears_why_a_run_is_short():
    many = asked(max_steps=1700, batch_size=256, max_passes=73)
    few = within_passes(many, 400)
    assert few.trainer.max_steps == 114
    assert within_passes(asked(max_passes=1, monitor_every=200), 640).trainer.monitor_every == 10
    assert shortening(many, few, 400) == "1,700 steps would be 1,088 passes over 400 windows: 114 steps"
    assert within_passes(many, 6040) is many
    assert shortening(many, many, 6040) == ""


@given(st.integers(1, 5000), st.integers(2, 512), st.integers(1, 10_000), st.floats(0, 200))
def test_the_cap_is_kept_and_nothing_is_lengthened(steps, batch, windows, passes):
    once = within_passes(asked(max_steps=steps, batch_size=batch, max_passes=passes), windows)
    left = once.trainer.max_steps
    assert 1 <= left <= steps
    assert left == 1 or not passes or left * batch <= passes * windows * (1 + 1e-9)
    assert passes or left == steps
    assert within_passes(once, windows) == once


def test_the_schedule_ends_where_the_run_does(tmp_path):
    """40 windows, 10 a step: two passes are 8 steps, and the rate has decayed by then as over 8 steps asked for."""
    assert train(tmp_path / "capped", recipe(max_passes=2)).steps == 8
    train(tmp_path / "asked", recipe(max_steps=8))
    assert_bit_equal(weights(tmp_path / "capped"), weights(tmp_path / "asked"))
    rates = [[row["lr"] for row in csv.DictReader((tmp_path / name / "metrics.csv").open())]
             for name in ("capped", "asked")]  # fmt: skip
    assert rates[0] == rates[1]


def test_no_cap_is_no_cap(tmp_path):
    assert train(tmp_path, recipe(max_steps=5, max_passes=0), windows=np.arange(10)).steps == 5


def test_a_capped_run_resumes_bit_for_bit(tmp_path):
    def crash(done, total, metrics):
        assert total == 8
        if done == 5:
            raise Crash

    made = recipe(max_passes=2)
    train(tmp_path / "a", made)
    with pytest.raises(Crash):
        train(tmp_path / "b", made, on_progress=crash)
    assert train(tmp_path / "b", made, resume=True).steps == 8
    assert_bit_equal(weights(tmp_path / "a"), weights(tmp_path / "b"))


def test_a_cap_may_be_lifted_when_a_run_is_resumed(tmp_path):
    train(tmp_path, recipe(max_steps=10, max_passes=1))
    assert train(tmp_path, recipe(max_steps=10, max_passes=0), resume=True).steps == 10


def test_run_dry_run_and_model_agree(tmp_path):
    own = table(tmp_path / "own.csv", events())
    command = ("pretrain", "rec-masked", "--data.root", own, "--data.cache", tmp_path / "cache", *OWN)
    dry = omni(*command, "--dry-run")
    assert dry.code == 0, dry.err
    assert "6 steps take about" in dry.out
    said = re.search(r"50 steps would be 17 passes over 24 windows: 6 steps", dry.out)
    assert said is not None, dry.out
    done = omni(*command, "--out", tmp_path / "run")
    assert done.code == 0, done.err
    assert said[0] in done.err
    assert load_model(tmp_path / "run").recipe.trainer.max_steps == 6
    again = omni(*command, "--out", tmp_path / "run", "--resume", "--trainer.max_passes", 3)
    assert again.code == 0, again.err
    assert load_model(tmp_path / "run").recipe.trainer.max_steps == 9
