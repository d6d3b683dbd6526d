"""When checkpoints are written: every so many steps, at the end, and when the process is asked to stop.

The first SIGINT or SIGTERM lets the running step end, saves and stops; a second one ends the process at once.
"""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from ..distributed import sum_across, world_size
from ..errors import OmnipatchError
from .checkpoint import checkpoint_path, prune

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(OmnipatchError):
    """A signal stopped the run after its checkpoint was saved; the exit code is the shell's, 128 + signal."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.number, self.exit_code = number, 128 + number

    def __reduce__(self):  # the default pickling of exceptions knows one argument
        return type(self), (str(self), self.number)


class SaveCheckpoints(Callback):
    """Saves to `folder` every `every` steps, at the last step and on a signal; keeps the newest `keep`.

    agree_every: steps between the moments at which the ranks of a distributed run agree on a signal one of them got.
    """

    def __init__(self, folder: Path, every: int, keep: int, agree_every: int = 10) -> None:
        self.folder, self.every, self.keep, self.agree_every = folder, every, keep, max(1, agree_every)
        self.signal = 0
        self._step = 0
        self._previous: dict[int, Any] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._step = trainer.global_step
        if threading.current_thread() is threading.main_thread():
            # after Lightning's own handlers, whose SIGTERM broadcasts from inside the handler
            self._previous = {number: signal.signal(number, self._handle) for number in _SIGNALS}

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs, batch, batch_idx: int) -> None:
        step = trainer.global_step
        if step == self._step:
            return  # gradients are still being accumulated
        self._step = step
        stop = self._agreed(pl_module.device)
        if stop or step >= trainer.max_steps or (self.every > 0 and step % self.every == 0):
            trainer.save_checkpoint(checkpoint_path(self.folder, step))
            if trainer.is_global_zero:
                prune(self.folder, self.keep)
        if stop:
            trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._restore()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def _handle(self, number: int, frame: Any) -> None:
        if self.signal:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self.signal = number

    def _agreed(self, device: torch.device) -> bool:
        if world_size() == 1:
            return bool(self.signal)
        if self._step % self.agree_every:
            return False
        # ranks may see the signal at different steps, but must stop at the same one
        asked = sum_across(torch.tensor([float(self.signal > 0), float(self.signal)], device=device))
        if asked[0] > 0:
            self.signal = int(asked[1] / asked[0])
        return bool(asked[0] > 0)
