"""What a user sees while a verb works: short lines, a bar where there is a terminal, nothing with `--quiet`.

Progress goes to stderr, results to stdout. `NO_COLOR` is honoured by rich. Names may hold brackets, so no text is read
as rich's markup.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text


class Voice:
    """Says what happens. `quiet` leaves only results and errors."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self.err = Console(stderr=True, quiet=quiet, highlight=False)
        self.out = Console(highlight=False)
        if not self.out.is_terminal:
            self.out = Console(highlight=False, width=140)  # a pipe or a log has no width to keep to
        self._start = time.monotonic()

    def step(self, text: str) -> None:
        """A line with the time since the start."""
        clock = (_clock(time.monotonic() - self._start), "dim")
        self.err.print(Text.assemble(clock, "  ", text), soft_wrap=True)

    def problem(self, text: str) -> None:
        """A line that `quiet` does not silence, on stderr."""
        Console(stderr=True, highlight=False).print(text, markup=False, soft_wrap=True)

    def result(self, text: str) -> None:
        """A line of the answer, on stdout."""
        self.out.print(text, markup=False, soft_wrap=True)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A table on stdout; numbers are set to the right."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for i, column in enumerate(columns):
            number = bool(rows) and all(_is_number(row[i]) for row in rows)
            table.add_column(Text(column), justify="right" if number else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(str(cell)) for cell in row))
        self.out.print(table)

    @contextmanager
    def counting(self, label: str) -> Iterator[Counter]:
        """A counter `(done, total)` for files and the like."""
        counter = Counter(label, self.err)
        try:
            yield counter
        finally:
            counter.stop()

    def training(self, label: str):
        """Progress of a training run, for `pretrain(on_progress=...)`."""
        from .train.progress import TrainProgress

        return TrainProgress(label, self.err)


class Counter:
    """A bar on a terminal; without one, a line every ten seconds."""

    def __init__(self, label: str, console: Console) -> None:
        self.label, self.console = label, console
        self._bar: Progress | None = None
        self._said = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        if self.console.is_terminal:
            if self._bar is None:
                columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
                self._bar = Progress(*columns, console=self.console, transient=True)
                self._bar.start()
                self._bar.add_task(self.label, total=total)
            self._bar.update(self._bar.tasks[0].id, completed=done)
        elif time.monotonic() - self._said > 10:
            self._said = time.monotonic()
            self.console.print(f"{self.label} {done}/{total}")

    def stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()


def interval(entry: Mapping[str, object], signed: bool = False) -> str:
    """`0.61 (0.50 to 0.70)` of a summary entry."""

    def spell(value: object) -> str:
        return "n/a" if value is None else f"{value:+.3f}" if signed else f"{value:.3f}"

    low, high = entry["ci_low"], entry["ci_high"]
    return spell(entry["mean"]) if low is None else f"{spell(entry['mean'])} ({spell(low)} to {spell(high)})"


def _is_number(cell: object) -> bool:
    return isinstance(cell, int | float) or (isinstance(cell, str) and cell[:1].isdigit())


def _clock(seconds: float) -> str:
    return f"{int(seconds // 60):2d}:{int(seconds % 60):02d}"
