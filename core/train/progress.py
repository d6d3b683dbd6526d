"""What a user sees while a model trains: a bar with loss, rate and time left, or plain lines without a terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class TrainProgress:
    """Hand an open one to `pretrain(on_progress=...)`; it is called with (steps done, total steps, metrics).

    every: least seconds between two plain lines; the bar follows every call.
    """

    def __init__(self, label: str = "pretrain", console: Console | None = None, every: float = 10.0) -> None:
        self.label, self.every = label, every
        self.console = Console(stderr=True) if console is None else console
        self._bar: Progress | None = None
        self._first: tuple[int, float] | None = None
        self._printed = 0.0

    def __enter__(self) -> TrainProgress:
        if self.console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[metrics]}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=self.console,
            )
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, step: int, total: int, metrics: Mapping[str, float]) -> None:
        text = f"loss {metrics.get('loss', float('nan')):.4f}  {metrics.get('windows_per_s', 0.0):.0f} windows/s"
        if self._bar is not None:
            if not self._bar.tasks:
                self._bar.add_task(self.label, total=total, completed=step, metrics=text)
            self._bar.update(self._bar.tasks[0].id, completed=step, metrics=text)
            return
        now = time.monotonic()
        self._first = self._first or (step, now)
        if step < total and self._printed and now - self._printed < self.every:
            return
        self._printed = now
        since, start = self._first
        left = (total - step) * (now - start) / (step - since) if step > since else None
        eta = f"  {timedelta(seconds=round(left))} left" if left else ""
        self.console.print(f"{self.label} {step}/{total}  {text}{eta}", highlight=False, markup=False)
