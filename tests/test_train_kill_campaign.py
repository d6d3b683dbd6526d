"""`kill -9` at many random moments: run with `-m slow` before training changes are released."""

from __future__ import annotations

import pytest
from train_kit import assert_bit_equal, kill_and_resume, recipe, train, weights

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("objective", "kills", "every"),
    [("jepa", 20, 3), ("mae", 20, 4), ("dino", 20, 1)],  # every 4 = only at epoch ends, every 1 = mostly during a save
)
def test_twenty_kills(tmp_path, objective, kills, every):
    made = recipe(objective, max_steps=200, checkpoint_every=every, monitor_every=20)
    train(tmp_path / "unbroken", made)
    assert kill_and_resume(tmp_path / "killed", made, kills, seed=1) >= kills // 2
    assert_bit_equal(weights(tmp_path / "killed"), weights(tmp_path / "unbroken"))
