"""Codes of a teacher's states as targets: predict, of what is hidden, which entry of each codebook it would get.

The idea of SPEAR and of the MVQ distillation before it: before the first step a quantiser learns the states of a
teacher at the tokens that are trained on, and each of them is encoded once. A code belongs to a token of a window, so a
view may change the signal as it likes: what is asked for stays that of the clean one. The teacher is log-mel itself, an
audio model of transformers or an earlier run (`teachers`); several at once are several of these targets, each with its
own terms.

Codes and codebooks are kept in the data cache under everything they depend on: teacher and layer, alignment, quantiser,
preprocessing and windows. A kept teacher is loaded, to know its weights, but hears nothing again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ...core.blocks.corpus import Corpus
from ...core.blocks.registry import build, register
from ...core.blocks.targets import Request, Target, TargetProvider
from ...core.errors import InputError
from ...core.sequence import PatchSequence, SequenceSpec, gather
from .mvq import Quantizer, Usage, train_quantizer, usage
from .teachers import Teacher
from .teachers.mel import MelTeacher
from .teachers.states import TokenStates
from .teachers.teacher import ALIGNMENTS

_FORMAT = 1  # of what is kept in the cache
_KEPT = "codebooks.safetensors"  # beside a model


@register("target", "codes")
class CodeTarget(TargetProvider):
    """codebooks, entries: size of the quantiser; fewer entries where there are fewer states. rounds, sample: of its
    training. width: states of the search. seed: of the quantiser. quantizer: file of one that is learned already.

    teacher: "mel", or {name: transformers, model: ..., layer: ...} or {name: run, folder: ..., layer: ...}.
    align: where the teacher has several states a token, "nearest" takes one of them; "concat" takes all, and a token
    then has codebooks times as many codes, which the loss must be told.
    """

    nested: ClassVar[Mapping[str, str]] = {"teacher": "teacher"}

    def __init__(
        self,
        spec: SequenceSpec,
        encoder,
        heads,
        *,
        codebooks: int = 8,
        entries: int = 64,
        rounds: int = 6,
        sample: int = 40_000,
        width: int = 4,
        seed: int = 0,
        quantizer: str | None = None,
        teacher: str | dict[str, Any] = "mel",
        align: str = "nearest",
    ) -> None:
        super().__init__()
        if align not in ALIGNMENTS:
            raise InputError(
                "unknown alignment of a teacher's states", source="objective.targets", field="align", got=align,
                expected=" or ".join(ALIGNMENTS),
            )  # fmt: skip
        self.spec, self.codebooks, self.entries = spec, codebooks, entries
        self.rounds, self.sample, self.width, self.seed = rounds, sample, width, seed
        self.teacher: Teacher = build("teacher", teacher, where="objective.targets.teacher")
        self.align = align
        # in a tuple, no submodule: a function of the windows, which every process and every resume makes anew
        self._given = (None if quantizer is None else Quantizer.load(quantizer),)
        self._quantizer = self._given
        self.usage: Usage | None = None
        self._codes: Tensor | None = None  # [token of all windows, code], -1 = none
        self._places: dict[int, tuple[int, int]] = {}  # window -> its first token among all, and how many it has

    @property
    def quantizer(self) -> Quantizer | None:
        """Learned in `prepare`, or read from a file."""
        return self._quantizer[0]

    def prepare(self, batches: Callable[[], Iterable[PatchSequence]]) -> None:
        """Learn the quantiser, unless there is one, and encode every token, or find both in the cache.

        Raises InputError when no token has a state, and whatever the teacher raises when it cannot be had.
        """
        states = self.teacher.states(batches, self.spec, self.align)
        made = (
            batches.kept("codes", self._key(states, batches), lambda: self._make(states))
            if isinstance(batches, Corpus)
            else self._make(states)
        )
        self._codes = torch.from_numpy(np.array(made["codes"]))
        length = np.asarray(made["length"])
        places = zip((np.cumsum(length) - length).tolist(), length.tolist(), strict=True)
        self._places = dict(zip(made["window"].tolist(), places, strict=True))
        centres, mean = (torch.from_numpy(np.array(made[name])) for name in ("centres", "mean"))
        quantizer = Quantizer(centres, mean)
        each = self._codes.view(-1, self.codebooks)
        self.usage = usage(each[each[:, 0] >= 0].long(), quantizer.entries)
        self._quantizer = (quantizer,)

    def facts(self) -> dict[str, float]:
        """Share of the entries that occur, and entropy of a codebook in bits, means over codebooks."""
        if self.usage is None:
            return {}
        return {"used": float(self.usage.used.mean()), "entropy_bits": float(self.usage.entropy_bits.mean())}

    def keep(self, folder: Path) -> None:
        if self.quantizer is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self.quantizer.save(folder / _KEPT)

    def restore(self, folder: Path) -> None:
        self._refuse_listening()  # of all files at once, instead of each
        self._quantizer = (Quantizer.load(folder / _KEPT),)

    @torch.no_grad()
    def codes(self, batch: PatchSequence) -> Tensor:
        if self.quantizer is None:
            raise RuntimeError("there are no codebooks yet")
        self._refuse_listening()
        (block,) = self.teacher.states(lambda: [batch], self.spec, self.align).blocks()
        found = torch.full((*block.known.shape, self.codebooks), -1, dtype=torch.long)
        found[block.known] = self.quantizer.encode(block.states[block.known], self.width)
        return found.flatten(2)

    @torch.no_grad()
    def forward(self, request: Request) -> Target:
        """Codes [row, k, code] as numbers, NaN = none."""
        if self._codes is None:
            raise RuntimeError("`prepare` has not seen the windows")
        assert request.index is not None, "codes are of tokens: give the term the site target, visible or all"
        windows = request.view.batch.window
        windows = windows if request.rows is None else windows[request.rows]
        places = torch.tensor([self._places.get(window, (0, 0)) for window in windows.tolist()])
        first, count = places[:, :1], places[:, 1:]
        index = request.index.index.cpu()
        there = index < count
        codes = self._codes[torch.where(there, first + index, 0)].float()
        codes = codes.masked_fill(~there.unsqueeze(-1) | (codes < 0), torch.nan).to(windows.device)
        valid = request.index.valid & gather(request.view.batch.valid, request.rows, request.index.index)
        return Target(codes, valid)

    def _refuse_listening(self) -> None:
        """Raises InputError where codes are of states that windows alone do not give."""
        if not isinstance(self.teacher, MelTeacher):
            raise InputError(
                "codes of a teacher that hears recordings are made in training only", source="objective.targets",
                field="teacher", fix="encode its states with omnipatch.modalities.speech.mvq.Quantizer",
            )  # fmt: skip

    def _make(self, states: TokenStates) -> dict[str, np.ndarray]:
        """centres, mean: the quantiser. codes: [token, code] int32, -1 = none. window, length: ids of all windows and
        their tokens, padding included."""
        quantizer, codes, window, length = self._given[0] or self._learn(states), [], [], []
        for block in states.blocks():
            expected = (self.codebooks, block.states.shape[-1])
            if (quantizer.codebooks, quantizer.dim) != expected:
                raise InputError(
                    "the quantiser is of another size", source="objective.targets.quantizer",
                    got=f"{quantizer.codebooks} codebooks in {quantizer.dim} dimensions",
                    expected=f"{expected[0]} in {expected[1]}",
                )  # fmt: skip
            found = torch.full((*block.known.shape, self.codebooks), -1, dtype=torch.int32)
            found[block.known] = quantizer.encode(block.states[block.known], self.width).int()
            rows, tokens = block.known.shape[:2]
            codes.append(found.reshape(rows * tokens, -1).numpy())
            window.append(block.window.numpy())
            length.append(np.full(rows, tokens, np.int64))
        return {
            "centres": quantizer.centres.numpy(), "mean": quantizer.mean.numpy(), "codes": np.concatenate(codes),
            "window": np.concatenate(window), "length": np.concatenate(length),
        }  # fmt: skip

    def _learn(self, states: TokenStates) -> Quantizer:
        """A quantiser of known states; there cannot be more entries than states."""
        count, known = states.sample(self.sample, self.seed)
        entries = max(1, min(self.entries, count))
        return train_quantizer(known, self.codebooks, entries, rounds=self.rounds, sample=self.sample, seed=self.seed)

    def _key(self, states: TokenStates, corpus: Corpus) -> str:
        """Name of what is kept: everything that it depends on."""
        given = self._given[0]
        quantizer = [self.entries, self.rounds, self.sample, self.seed] if given is None else given.fingerprint
        content = [_FORMAT, corpus.fingerprint, states.fingerprint, self.codebooks, self.width, quantizer]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]
