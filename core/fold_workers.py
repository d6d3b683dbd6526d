"""Several folds at once, each in a process of its own with its share of the threads; of one fold alone, its rows.

The models here are small, and a second thread helps one process little; a second process has a fold of its own, or the
rows of models that know nothing of pretraining while the first has the others.
A worker is a fresh interpreter (never a fork, which threads do not survive). It gets the prepared data by pickle, of
which the windows are the cache's memory maps, writes into the folders of its folds alone, and tells the run about
everything else.

Signals are the run's: in workers SIGINT and SIGTERM are blocked, so that one that reaches the whole group does not
count twice, and the run passes the first on. When the run ends, however that comes about, so does the connection to
its workers, and they end at once.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

from .errors import InputError, OmnipatchError
from .fold import FoldDone, FoldWork, Piece
from .fold_process import SIGNALS, Job, serve

if TYPE_CHECKING:
    from .config import Recipe, TrainerConfig
    from .console import Voice

# what the others get to save their checkpoints, once a fold has failed
_GRACE_S = 30.0
_LOOK_S = 0.2  # between two looks for a signal
# a fresh interpreter takes seconds to begin: rows of fewer gradient steps than these are done before it pays
_WORTH_STEPS = 200


def folds_at_once(config: TrainerConfig, folds: int) -> int:
    """How many out of so many folds. One, where training is spread over several devices already."""
    import torch

    from .train.precision import device_type

    if _spread(config):
        return 1
    if config.folds_at_once:
        return min(folds, config.folds_at_once)
    return min(folds, torch.get_num_threads()) if device_type(config.accelerator) == "cpu" else 1


def check_folds_at_once(config: TrainerConfig) -> None:
    """Raise InputError where each of the folds would need several devices."""
    if config.folds_at_once > 1 and _spread(config):
        raise InputError(
            "folds that are trained at the same time have one device each", field="trainer.folds_at_once",
            got=config.folds_at_once, expected="1 where training is spread over devices", fix="leave it out",
        )  # fmt: skip


def _spread(config: TrainerConfig) -> bool:
    """Whether several processes train together, started by Lightning or by torchrun."""
    alone = str(config.devices) in ("1", "auto") and config.num_nodes == 1 and config.strategy == "auto"
    return not alone or os.environ.get("WORLD_SIZE", "1") != "1"


def row_pieces(work: FoldWork) -> list[Piece]:
    """The rows of a run with one fold as two pieces that cost alike: those of the pretrained encoder and of what has
    none, and those of the same network without pretraining. None where one process does better, or must."""
    config = work.recipe.trainer
    if len(work.prepared.splits) > 1 or folds_at_once(config, 2) < 2:
        return []
    if not config.folds_at_once and _steps(work.recipe) < _WORTH_STEPS:
        return []
    return [Piece(work.prepared.splits[0].fold, models) for models in _parts(work)]


def fold_pieces(work: FoldWork, at_once: int) -> list[Piece]:
    """All folds. Where their number leaves a process without one at the end, each in two: first pretraining and the
    rows that need it, of all folds, then the other rows, which are short and fill what is left."""
    folds = [split.fold for split in work.prepared.splits]
    if len(folds) % at_once and (parts := _parts(work)):
        return [Piece(fold, models) for models in parts for fold in folds]
    return [Piece(fold) for fold in folds]


def _parts(work: FoldWork) -> list[tuple[str, ...]]:
    """Models whose rows can be made apart: the pretrained encoder and what has none, and the same network without
    pretraining; [] = all belong together."""
    from .data.questions import ranks
    from .downstream.evaluate import wanted_rows
    from .downstream.rows import WITHOUT_ENCODER

    if ranks(work.prepared.store):
        return []
    wanted = tuple(wanted_rows(work.recipe))
    first = tuple(model for model in wanted if model == "pretrained" or model in WITHOUT_ENCODER)
    fresh = tuple(model for model in wanted if model not in first)
    return [first, fresh] if fresh and "pretrained" in first else []


def _steps(recipe: Recipe) -> int:
    """Of gradient training in the rows of one model."""
    asked = recipe.evaluate.protocols
    fitted = sum(protocol in asked for protocol in ("finetune", "semi", "side"))
    each = fitted * recipe.finetune.steps + ("attentive" in asked) * recipe.probe.attentive_steps
    return recipe.evaluate.seeds * each


def work_at_once(work: FoldWork, pieces: Sequence[Piece], at_once: int, *, evaluates: bool) -> list[FoldDone]:
    """All pieces of the work, so many at once; in their order.

    The first failure of a fold is raised here as it was raised there, after the others have saved their checkpoints.
    SIGINT or SIGTERM lets all folds save theirs and raises Interrupted; where none was training, the signal takes
    effect as it would have here. A second signal ends the run at once.
    """
    import torch

    threads = max(1, torch.get_num_threads() // at_once)
    say, splits = work.voice.step, {split.fold: split for split in work.prepared.splits}
    told = _pickled(Job.of(work, threads, evaluates=evaluates))
    if told is None:
        say("one after the other: what reads the data cannot be handed to another process")
        return [work.work(splits[piece.fold], evaluates=evaluates, models=piece.models) for piece in pieces]
    folds = len({piece.fold for piece in pieces})
    what = f"{folds} folds" if folds > 1 else "rows with and without pretraining"
    say(f"{what}, {at_once} at a time with {threads} thread{'s' * (threads > 1)} each")
    with _signals_noted() as noted:
        team = _Team(work.voice, pieces, noted)
        try:
            for _ in range(at_once):
                team.hire(told, threads)
            team.run()
        finally:
            team.end()
    if team.failure is not None:
        raise team.failure
    if noted.number:
        raise team.interrupted()
    return [team.done[piece] for piece in pieces]


def _pickled(job: Job) -> bytes | None:
    """None for what another process cannot make again, such as a modality that a script itself defines."""
    try:
        told = pickle.dumps(job)
    except Exception:  # whatever a foreign modality holds and raises
        return None
    return None if b"__main__" in told else told


@dataclass
class _Noted:
    number: int = 0  # of the signal that asked the run to stop


@contextmanager
def _signals_noted() -> Iterator[_Noted]:
    """The first signal is noted, a second one has its usual effect."""
    noted = _Noted()

    def note(number: int, frame: object) -> None:
        if noted.number:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        noted.number = number

    here = threading.current_thread() is threading.main_thread()
    previous = {number: signal.signal(number, note) for number in SIGNALS} if here else {}
    try:
        yield noted
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """What is started inside has them blocked for good."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start(handle: int, threads: int) -> subprocess.Popen[bytes]:
    """A fresh interpreter at the other end of a connection. That of multiprocessing would run the caller's script once
    more, which then had to be written for it."""
    code = f"import sys; sys.path[:] = {sys.path!r}; from {serve.__module__} import serve; serve({handle})"
    # also for what does not go by torch's number of threads: numpy's and scipy's linear algebra
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-c", code]
    return subprocess.Popen(command, pass_fds=[handle], env=environment, stdin=subprocess.DEVNULL)


@dataclass(eq=False)
class _Worker:
    process: subprocess.Popen[bytes]
    connection: Connection
    piece: Piece | None = None  # what it works on

    def tell(self, message: bytes) -> None:
        with contextlib.suppress(OSError):  # that it has ended is seen where it is listened to
            self.connection.send_bytes(message)


class _Team:
    """The workers of a run: who works on what, and what they told."""

    def __init__(self, voice: Voice, pieces: Sequence[Piece], noted: _Noted) -> None:
        self.voice, self.noted = voice, noted
        self.done: dict[Piece, FoldDone] = {}
        self.failure: Exception | None = None
        self._waiting = list(pieces)
        self._several = len({piece.fold for piece in pieces}) > 1
        self._saved: list[int] = []  # folds that had to stop and saved a checkpoint
        self._workers: list[_Worker] = []
        self._stopping, self._until = False, float("inf")
        self._warned: dict[Any, Any] = {}

    def hire(self, told: bytes, threads: int) -> None:
        """Start a worker and give it something."""
        ours, theirs = Pipe()
        with theirs, _signals_blocked():
            process = _start(theirs.fileno(), threads)
        worker = _Worker(process, ours)
        self._workers.append(worker)
        worker.tell(told)
        self._give(worker)

    def run(self) -> None:
        """Until nothing is worked on."""
        while busy := [worker for worker in self._workers if worker.piece is not None]:
            if self.noted.number:
                self._stop(self.noted.number)
            if time.monotonic() > self._until:
                return
            ready = wait([worker.connection for worker in busy], timeout=_LOOK_S)
            for worker in busy:
                if worker.connection in ready:
                    self._hear(worker)

    def end(self) -> None:
        """Workers end with their connection."""
        for worker in self._workers:
            worker.connection.close()
        for worker in self._workers:
            try:
                worker.process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()

    def interrupted(self) -> BaseException:
        """What a signal that was noted has to raise."""
        from .train.saving import Interrupted

        number = self.noted.number
        if not self._saved:
            signal.raise_signal(number)
            return Interrupted("stopped by a signal", number)
        *others, last = map(str, sorted(self._saved))
        folds = f"folds {', '.join(others)} and {last}" if others else f"fold {last}"
        saved = f"the checkpoint{'s' * bool(others)} of {folds} {'are' if others else 'is'} saved"
        return Interrupted(f"stopped by a signal; {saved}, continue with --resume", number)

    def _give(self, worker: _Worker) -> None:
        """The next piece, if any is left."""
        worker.piece = self._waiting.pop(0) if self._waiting and not self._stopping else None
        if worker.piece is not None:
            worker.tell(pickle.dumps(("piece", worker.piece)))

    def _stop(self, number: int) -> None:
        if not self._stopping:
            self._stopping = True
            for worker in self._workers:
                worker.tell(pickle.dumps(("stop", number)))

    def _fail(self, error: Exception) -> None:
        if self.failure is None:
            self.failure = error
            self._until = time.monotonic() + _GRACE_S
        self._stop(signal.SIGINT)

    def _hear(self, worker: _Worker) -> None:
        piece = worker.piece
        assert piece is not None
        whose = f"fold {piece.fold}: " if self._several else ""
        try:
            kind, content = pickle.loads(worker.connection.recv_bytes())
        except (EOFError, OSError):
            worker.piece = None
            code = worker.process.wait()
            if code < 0 or not self._stopping:  # else the wish to stop came while it was about to end
                self._fail(_vanished(piece, code))
            return
        if kind == "say":
            self.voice.step(f"{whose}{content}")
        elif kind == "warn":
            warnings.warn_explicit(*content, registry=self._warned)  # once, not once a fold
        elif kind == "done":
            self.done[piece] = content
            self._give(worker)
        elif kind == "stopped":
            worker.piece = None
            if content:
                self._saved.append(piece.fold)
                self.voice.step(f"{whose}{content}")
        else:
            worker.piece = None
            error, trace = content
            error.add_note(f"in the process of {piece}:\n{trace}")  # for --debug
            self._fail(error)


def _vanished(piece: Piece, code: int) -> OmnipatchError:
    ended = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return OmnipatchError(
        f"the process of {piece} {ended}, as happens where memory is short; continue with --resume, and with fewer "
        "at a time by --trainer.folds_at_once"
    )
