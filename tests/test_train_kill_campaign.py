"""`kill -9` at many random moments: run with `-m slow` before training changes are released."""

from __future__ import annotations

import pytest
from train_kit import assert_bit_equal, kill_and_resume, recipe, run_unbroken, weights

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("objective", "every"),
    [("jepa", 3), ("mae", 4), ("dino", 1)],  # every 4 = only at epoch ends, every 1 = mostly during a save
)
def test_twenty_kills(tmp_path, objective, every, threads):
    kills, made = 20, recipe(objective, max_steps=200, checkpoint_every=every, monitor_every=20)
    run_unbroken(tmp_path / "unbroken", made, threads)
    assert kill_and_resume(tmp_path / "killed", made, kills, seed=1, threads=threads) >= kills // 2
    assert_bit_equal(weights(tmp_path / "killed"), weights(tmp_path / "unbroken"))
