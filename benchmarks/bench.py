"""What the side-by-side scripts share: contestants as separate processes, run in alternation.

Each contestant is a process of its own that executes one timed round when told to, so that peak memory belongs to it
alone and the machine's changing speed hits both sides alike. Ratios are taken round by round; the median is quoted.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omnipatch.core.train.precision import resolve_precision

FAST_BF16 = resolve_precision("auto", "cpu") == "bf16-mixed"
OWN = "bf16" if FAST_BF16 else "fp32"  # what a recipe takes here by itself


def feasible(rows: dict[str, str]) -> dict[str, str]:
    """Rows, `NAME: WORKER` with the precision between colons, that mean something on this machine.

    Where bf16 is emulated a step of it takes minutes; without it some rows are the same and are timed once.
    """
    timed = {name: worker for name, worker in rows.items() if FAST_BF16 or "bf16" not in worker.split(":")}
    if len(timed) < len(rows):
        print("no fast bf16 here: rows in bf16 are left out")
    first = {worker: name for name, worker in reversed(timed.items())}
    return {name: worker for name, worker in timed.items() if first[worker] == name}


def serve(
    step: Callable[[], object], steps: int, warmup: int = 2, clock: Callable[[], float] = time.perf_counter
) -> None:
    """Worker loop: warm up, then time `steps` steps for each line on stdin; answers go to stdout.

    clock: `time.process_time` counts processor time, which other work on the machine changes less. Wall time is told
        beside it.
    """
    for _ in range(warmup):
        step()
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() != "round":
            break
        began, start = time.perf_counter(), clock()
        for _ in range(steps):
            step()
        seconds, wall_s = (clock() - start) / steps, (time.perf_counter() - began) / steps
        print(f"{seconds} {wall_s} {peak_mib()}", flush=True)


def pretraining_step(
    objective: Any, optimizer: Any, data: Any, seed: int, mixed: Callable[[], Any] = contextlib.nullcontext
) -> Callable[[], None]:
    """One step of pretraining on the same batch each time, as the training room does it.

    data: the batch, or a function that makes it, whose time counts. mixed: makes the context of the forward pass.
    """
    done = itertools.count()
    batch = data if callable(data) else lambda: data

    def step() -> None:
        number, made = next(done), batch()
        with mixed():
            loss = objective(made, seed, number, taps=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        objective.after_step(number)

    return step


def peak_mib() -> float:
    """Most memory this process has held. Not from getrusage, whose figure starts at that of the starting process."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]


class Contestant:
    """A worker process: `script` is run with the arguments that make it call `serve`."""

    def __init__(self, name: str, arguments: list[str]) -> None:
        self.name, self.seconds, self.wall, self.peak_mib = name, [], [], 0.0
        self._process = subprocess.Popen(
            [sys.executable, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._expect("ready")

    def round(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("round\n")
        self._process.stdin.flush()
        seconds, wall_s, peak = self._expect().split()
        self.seconds.append(float(seconds))
        self.wall.append(float(wall_s))
        self.peak_mib = float(peak)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _expect(self, word: str | None = None) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if word is None or line.strip() == word:
                return line
        raise SystemExit(f"{self.name}: the worker ended without an answer (exit code {self._process.wait()})")


def alternate(contestants: list[Contestant], rounds: int) -> None:
    """Run all contestants `rounds` times in turn and close them."""
    for _ in range(rounds):
        for contestant in contestants:
            contestant.round()
    for contestant in contestants:
        contestant.close()


def race(arguments: list[str], rows: dict[str, str], rounds: int) -> list[Contestant]:
    """Run the `feasible` rows in alternation, each a worker of the script with these arguments."""
    contestants = [Contestant(name, [*arguments, "--worker", worker]) for name, worker in feasible(rows).items()]
    alternate(contestants, rounds)
    return contestants


def print_tables(
    contestants: list[Contestant], references: tuple[str, ...], batch: float, unit: str = "records"
) -> None:
    """A `table` against each of the references that has run."""
    for reference in references:
        if any(c.name == reference for c in contestants):
            print(table(contestants, reference, batch, unit), flush=True)


def table(contestants: list[Contestant], reference: str, batch: float, unit: str = "records") -> str:
    """As text: median records a second, ratio to the reference round by round (median, lowest to highest), memory.

    batch: records a step, or how much of another unit a step works on.
    """
    base = next(c for c in contestants if c.name == reference)
    lines = [f"{'':34s} {'ms/step':>9s} {unit + '/s':>10s} {'x ' + reference:>28s} {'peak MiB':>9s}"]
    for c in contestants:
        median = statistics.median(c.seconds)
        ratios = [b / a for a, b in zip(c.seconds, base.seconds, strict=True)]
        ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        lines.append(f"{c.name:34s} {median * 1e3:9.1f} {batch / median:10.1f} {ratio:>28s} {c.peak_mib:9.0f}")
    return "\n".join(lines)


def wall(contestants: list[Contestant]) -> str:
    """As text: median seconds of wall time a step, of what is clocked by processor time."""
    return "wall: " + ", ".join(f"{c.name} {statistics.median(c.wall):.3f} s" for c in contestants)
