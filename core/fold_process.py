"""The inside of a process that works on folds for a run (`fold_workers` is the run's side).

It listens in a thread of its own: for the next piece of work, for the wish that it stops, and for the end of the
connection, which is the end of the run, however that came about.
"""

from __future__ import annotations

import _thread
import io
import os
import pickle
import signal
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue

from rich.console import Console

from .console import Counter, Voice
from .errors import OmnipatchError, first_line
from .fold import FoldWork, Piece
from .prepared import Prepared
from .settings import Settings

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, eq=False)
class Job:
    """What a worker needs to know before its first piece; see `FoldWork`. source: of encoders to evaluate, if any."""

    settings: Settings
    prepared: Prepared
    folder: Path
    resume: bool
    source: Path | None
    evaluates: bool
    threads: int

    @classmethod
    def of(cls, work: FoldWork, threads: int, *, evaluates: bool) -> Job:
        return cls(work.settings, work.prepared, work.folder, work.resume, work.source, evaluates, threads)


def serve(handle: int) -> None:
    """Work on folds or parts of them, one after the other, as the other end of the connection asks for them."""
    run = _Run(Connection(handle))
    try:
        told = run.connection.recv_bytes()
        for number in SIGNALS:
            signal.signal(number, signal.default_int_handler)
        threading.Thread(target=run.listen, daemon=True).start()
        _work(pickle.loads(told), run)
    except BaseException as error:
        with _undisturbed():
            run.tell(*_ending(error, run.stopping))


def _work(job: Job, run: _Run) -> None:
    import torch

    torch.set_num_threads(job.threads)
    warnings.showwarning = run.warn
    work = FoldWork(job.settings, job.prepared, job.folder, _FoldVoice(run.say), job.resume)
    if job.source is not None:
        from .trained import load_trained

        work.use(load_trained(job.source))
    splits = {split.fold: split for split in job.prepared.splits}
    while (piece := run.next_piece()) is not None:
        done = work.work(splits[piece.fold], evaluates=job.evaluates, models=piece.models)
        with _undisturbed():
            run.tell("done", done)


class _Run:
    """The run at the other end."""

    def __init__(self, connection: Connection) -> None:
        self.connection, self.stopping = connection, False
        self._pieces: SimpleQueue[Piece | None] = SimpleQueue()
        self._telling = threading.Lock()  # a loader's thread may warn

    def listen(self) -> None:
        """Thread: take in what the run says."""
        try:
            while True:
                kind, value = pickle.loads(self.connection.recv_bytes())
                if kind == "piece":
                    self._pieces.put(value)
                else:
                    self.stopping = True
                    self._pieces.put(None)
                    _thread.interrupt_main(value)  # as if the signal had come here: training saves a checkpoint
        except (EOFError, OSError):
            os._exit(1)  # no clean-up: it could wait for a long step, and the lock of the fold with it

    def next_piece(self) -> Piece | None:
        return self._pieces.get()

    def tell(self, kind: str, content: object) -> None:
        # plain pickle: that of multiprocessing leaves tensors in this process for the other to fetch
        message = pickle.dumps((kind, content))
        with self._telling:
            self.connection.send_bytes(message)

    def say(self, text: str) -> None:
        self.tell("say", text)

    def warn(self, message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object) -> None:
        """Takes the place of `warnings.showwarning`."""
        self.tell("warn", (str(message), category, filename, lineno))


class _FoldVoice(Voice):
    """Lines for the run to say: no bar, as other folds have something to say meanwhile."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(quiet=True)
        self._say = say

    def step(self, text: str) -> None:
        self._say(text)

    @contextmanager
    def counting(self, label: str) -> Iterator[Counter]:
        yield Counter(label, self._console())

    def training(self, label: str):
        from .train.progress import TrainProgress

        return TrainProgress(label, self._console())

    def _console(self) -> Console:
        return Console(file=_Lines(self._say), force_terminal=False, color_system=None, width=1000)


class _Lines(io.StringIO):
    """A file whose lines are said."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self._say, self._begun = say, ""

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._say(line)
        return len(text)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """No wish to stop tears what is told inside."""
    previous = {number: signal.signal(number, signal.SIG_IGN) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _ending(error: BaseException, stopping: bool) -> tuple[str, object]:
    """What the run is told of the exception that ends this process."""
    from .train.saving import Interrupted

    if isinstance(error, Interrupted):
        return "stopped", str(error)
    if stopping and isinstance(error, KeyboardInterrupt | SystemExit):
        return "stopped", ""
    return "failed", (_portable(error), "".join(traceback.format_exception(error)))


def _portable(error: BaseException) -> Exception:
    """The error itself, or one that says the same where it cannot be pickled."""
    try:
        if isinstance(error, Exception) and type(pickle.loads(pickle.dumps(error))) is type(error):
            return error
    except Exception:  # whatever a foreign class does when it is taken apart or put together
        pass
    if not isinstance(error, OmnipatchError):
        return RuntimeError(first_line(error))
    plain = OmnipatchError(str(error))
    plain.exit_code = error.exit_code
    return plain
