"""The command line in-process, on the toy modality and an encoder small enough for runs of a second."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest
from omnipatch.core import registry
from omnipatch.core.cli import main

RECIPE = """\
name: toy-jepa
description: a toy
modality: toy
encoder: {name: transformer, width: 16, depth: 1, heads: 2}
objective: jepa
trainer: {max_steps: 4, batch_size: 8, checkpoint_every: 2, log_every: 1, monitor_every: 2, accelerator: cpu}
probe: {attentive_steps: 4, knn_k: 3}
finetune: {steps: 4, batch_size: 8, eval_every: 2}
evaluate: {seeds: 1, bootstrap: 20}
"""


@dataclass(frozen=True)
class Done:
    """What a user saw of one command."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one sentence on stderr of a failed command; progress lines before it start with the time or a label."""
        lines = [line for line in self.err.splitlines() if line.startswith("omnipatch: ")]
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err
        return lines[0]


def omni(*arguments: object) -> Done:
    """Run one command line."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    code = stop.value.code
    return Done(code if isinstance(code, int) else 1, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def toy_installed() -> Iterator[None]:
    """The toy modality by name, for fixtures that outlive one test."""
    toy = EntryPoint("toy", "data_kit:Toy", registry.GROUP)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "entry_points", lambda group: [*entry_points(group=group), toy])
        yield


def write_recipe(folder: Path, **changes: str) -> Path:
    """The toy recipe as a file; `changes` replace text in it."""
    text = RECIPE
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    path = folder / "toy-jepa.yaml"
    path.write_text(text)
    return path
