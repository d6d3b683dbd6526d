"""Golden losses: six steps of every shipped objective from a fixed seed.

A change of these numbers is a change of what users train. After a deliberate one, write them anew with

    python tests/test_objective_golden.py

and say why in the commit.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from blocks_kit import batch, objective, run
from omnipatch.core.compose import shipped_objectives

GOLDEN = Path(__file__).parent / "golden" / "objectives.json"
STEPS = 6


def curve(name: str) -> list[float]:
    """Losses of the first steps in float32."""
    return run(objective(name), batch(8, 12), STEPS)


def stored() -> dict[str, list[float]]:
    return json.loads(GOLDEN.read_text())


def test_every_shipped_objective_has_a_curve():
    assert sorted(stored()) == shipped_objectives()


@pytest.mark.parametrize("name", shipped_objectives())
def test_losses_are_those_of_the_stored_curve(name):
    now, then = curve(name), stored()[name]
    if now != pytest.approx(then, rel=1e-4, abs=1e-5):
        rows = "\n".join(
            f"  step {i}: stored {a:.6f}  now {b:.6f}" for i, (a, b) in enumerate(zip(then, now, strict=True))
        )
        pytest.fail(f"the loss curve of {name} has drifted (see this file's docstring)\n{rows}", pytrace=False)


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    curves = {name: [round(x, 7) for x in curve(name)] for name in shipped_objectives()}
    lines = ",\n".join(f'  "{name}": {json.dumps(values)}' for name, values in curves.items())
    GOLDEN.write_text("{\n" + lines + "\n}\n")
