"""StepLoader: an endless stream of batches in which step n always holds the same windows.

Design decisions
- Order is a pure function of (seed, epoch) and the position is `step modulo steps an epoch`, so resuming needs one
  integer and no random state. Stateful loaders were found to repeat or lose steps at epoch ends.
- Length buckets: an epoch is shuffled, then sorted stably by bucket, cut into batches, and the batches are shuffled.
  Rows of a batch then have similar lengths, and windows of one bucket still meet in random company. Where what is long
  differs from what is short (busy people from others), one bucket keeps each batch a sample of the whole.
- The remainder of an epoch that does not fill a batch is left out; it is another random remainder each epoch.
- With fewer windows than the batch size the batch is smaller (all windows, a multiple of the ranks). Windows are
  never repeated inside a batch: a contrastive loss would take the copy for a negative.
- Ranks take contiguous chunks of one global batch: any number of ranks sees exactly the same windows at a step.
- Parts of windows (`partial`) and partners (`pairing`) are drawn from streams of their own: with or without
  them, a step holds the same windows.
- A thread reads ahead. Reading is block copies, which release the interpreter lock; processes would cost more in
  handing the batch over than they save.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence

import numpy as np

from ..batching import bucket_lengths
from ..errors import InputError
from ..sequence import PatchSequence
from .pairing import NearWindows
from .partial import PartialWindows
from .store import WindowStore

_PARTNERS = 1  # number of the stream that draws them


class StepLoader:
    """Batches of the windows `windows` of a store, from `start_step` on, for ever.

    Parameters
    ----------
    windows: indices into the store. batch_size: windows a step over all ranks. start_step: first step to yield.
    rank, world_size: which chunk of each global batch is ours. prefetch: batches read ahead, 0 = no thread.
    pair_within_s: bring another window of each row's record, at most so far away, as `PatchSequence.partner`.
    length_buckets: 8 waste a few per cent of padding on lengths spread evenly over a factor of two; 1 = batches of all.
    most_patches: read a random part of what is longer (`PartialWindows`), 0 = windows whole.

    Raises InputError when there are no windows or the ranks cannot share a batch evenly.
    """

    def __init__(
        self,
        store: WindowStore,
        windows: Sequence[int] | np.ndarray,
        batch_size: int,
        seed: int,
        start_step: int = 0,
        rank: int = 0,
        world_size: int = 1,
        prefetch: int = 2,
        pair_within_s: float | None = None,
        length_buckets: int = 8,
        most_patches: int = 0,
    ) -> None:
        self.store, self.windows = store, np.asarray(windows, np.int64)
        self.seed, self.start_step, self.prefetch = seed, start_step, prefetch
        self.rank, self.world_size = rank, world_size
        if batch_size < 1 or batch_size % world_size:
            raise InputError(
                "the batch cannot be shared by the devices", field="trainer.batch_size", got=batch_size,
                expected=f"a positive multiple of {world_size}", fix="it counts the windows of all devices together",
            )  # fmt: skip
        self.batch_size = min(batch_size, len(self.windows) // world_size * world_size)
        if self.batch_size == 0:
            raise InputError(
                "too few windows to train on", got=len(self.windows), expected=f"at least {world_size}",
                fix="use longer or more recordings",
            )  # fmt: skip
        self.steps_per_epoch = len(self.windows) // self.batch_size
        self._part = PartialWindows(store, most_patches, seed) if most_patches else None
        lengths = (store.lengths if self._part is None else self._part.lengths())[self.windows]
        self._bucket = np.searchsorted(bucket_lengths(lengths.tolist(), length_buckets), lengths)
        self._near = None if pair_within_s is None else NearWindows(store, self.windows, pair_within_s)
        self._plan = (-1, np.empty((0, 0), np.int64))  # (epoch, its batches), the one last asked for

    def indices(self, step: int) -> np.ndarray:
        """[batch / ranks] store indices of this rank's windows at `step`; a pure function of it."""
        return self.windows[self._positions(step)]

    def partners(self, step: int) -> np.ndarray | None:
        """[batch / ranks] store indices of their partners; None without pairs."""
        if self._near is None:
            return None
        draws = np.random.default_rng([self.seed, step, _PARTNERS]).random(self.batch_size)
        return self._near.partners(self._positions(step), np.split(draws, self.world_size)[self.rank])

    def _positions(self, step: int) -> np.ndarray:
        """[batch / ranks] places in `windows`."""
        return np.split(self._global(step), self.world_size)[self.rank]

    def _global(self, step: int) -> np.ndarray:
        """[batch] places in `windows`, of all ranks."""
        epoch, position = divmod(step, self.steps_per_epoch)
        planned, batches = self._plan
        if planned != epoch:
            batches = self._make_plan(epoch)
            self._plan = (epoch, batches)
        return batches[position]

    def _make_plan(self, epoch: int) -> np.ndarray:
        """[step, batch] places in `windows` of an epoch."""
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(len(self.windows))[: self.steps_per_epoch * self.batch_size]
        order = order[np.argsort(self._bucket[order], kind="stable")]
        return rng.permutation(order.reshape(self.steps_per_epoch, self.batch_size), axis=0)

    def __iter__(self) -> Iterator[PatchSequence]:
        return self._ahead() if self.prefetch > 0 else self._batches()

    def _batches(self) -> Iterator[PatchSequence]:
        step = self.start_step
        while True:
            yield self._batch(step)
            step += 1

    def _batch(self, step: int) -> PatchSequence:
        indices, partners = self.indices(step), self.partners(step)
        if self._part is None:
            batch = self.store.batch(indices)
        else:
            drawn = self._part.positions(self.windows[self._global(step)], step)
            batch = self.store.batch(indices, np.split(drawn, self.world_size)[self.rank])
        return batch if partners is None else batch.replace(partner=self.store.batch(partners))

    def _ahead(self) -> Iterator[PatchSequence]:
        """`_batches`, read by a thread that ends with the iteration; its errors are raised here."""
        ready: queue.Queue[PatchSequence | Exception] = queue.Queue(self.prefetch)
        stopped = threading.Event()

        def put(item: PatchSequence | Exception) -> None:
            while not stopped.is_set():
                try:
                    return ready.put(item, timeout=0.1)
                except queue.Full:
                    continue

        def read() -> None:
            try:
                for batch in self._batches():
                    put(batch)
                    if stopped.is_set():
                        return
            except Exception as error:
                put(error)

        thread = threading.Thread(target=read, name="omnipatch-loader", daemon=True)
        thread.start()
        try:
            while True:
                item = ready.get()
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            stopped.set()
            thread.join()
