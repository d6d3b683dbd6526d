"""A ranking in use: the blend that a run's validation side chose, kept with its model and applied to new histories.

`model/ranking.json` names the ranker without training, which of its variants, and how much the model counts beside it.
In use the ranker is fitted again to what the model's data may be learned from (`KnownIds.taken`), which takes seconds
and keeps model folders small.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.sparse import csr_matrix

from ..blocks.encoder import Encoder
from ..errors import InputError, damaged
from ..ranking import Ranker
from ..run_folder import write_json
from .rows import Evaluation

if TYPE_CHECKING:
    from ..modality import Modality
    from ..sequence import PatchSequence

FILE = "ranking.json"


@dataclass(frozen=True)
class ServedBlend:
    """ranker: name among the field's; variant: which of its `variants`; weight: of the model, 0 to 1; metric and
    validation: what it was chosen by, and its value there."""

    ranker: str
    variant: int
    variants: int
    weight: float
    metric: str
    validation: float

    @classmethod
    def of(cls, evaluation: Evaluation, metric: str, fold: int = 0) -> dict[int, ServedBlend]:
        """{seed: that of its pretrained row} of a fold."""
        found = {}
        for _, row, _ in evaluation.ranked:
            if row.model == "pretrained" and row.fold == fold:
                chosen = evaluation.choices[row.key]
                names = ("variant", "variants", "weight", "validation")
                told = {name: chosen[name] for name in names}
                found[row.seed] = cls(ranker=chosen["blended_with"], metric=metric, **told)
        return found

    def save(self, model_folder: Path) -> None:
        write_json(model_folder / FILE, asdict(self))

    @classmethod
    def load(cls, folder: Path | str) -> ServedBlend | None:
        """Of a run or model folder; None where nothing was chosen. Raises CorruptFileError."""
        folder = Path(folder)
        path = (folder / "model" if (folder / "model").is_dir() else folder) / FILE
        if not path.is_file():
            return None
        try:
            found = cls(**json.loads(path.read_text(encoding="utf-8")))
            if not (0 <= found.weight <= 1 and 0 <= found.variant < found.variants):
                raise ValueError(f"a weight of {found.weight}, variant {found.variant} of {found.variants}")
            return found
        except (OSError, ValueError, TypeError) as error:
            got = "other fields" if isinstance(error, TypeError) else error
            raise damaged(path, got) from error

    def fitted_ranker(self, rankers: Any) -> Ranker:
        """The variant among the field's. Raises InputError where another version of it has others."""
        variants = rankers.get(self.ranker, ())
        if len(variants) != self.variants:
            raise InputError(
                f"the ranker {self.ranker} is not what it was when the run chose it", got=len(variants),
                expected=f"{self.variants} variants", fix="evaluate again, or rank by the model alone with --alone",
            )  # fmt: skip
        return variants[self.variant]


class HistoryRanking:
    """Scores of all ids for new histories, by a model with or without a ranker beside it."""

    def __init__(self, encoder: Encoder, modality: Modality, blend: ServedBlend | None) -> None:
        self.encoder, self.field, self.blend = encoder, modality.ranking(), blend
        known = modality.known_of_ids()
        self.taken = None if known is None else known.taken
        self.table = encoder.id_table().detach().float().numpy().T
        rankers = self.field.rankers()
        self.simplest = next(iter(rankers))
        self._first = None if self.taken is None else rankers[self.simplest][0](self.taken)
        self._beside = None
        if blend is not None and self.taken is not None:
            self._beside = blend.fitted_ranker(rankers)(self.taken)

    @torch.no_grad()
    def of_histories(self, batch: PatchSequence) -> np.ndarray:
        """[row, id] float32, -inf for ids that a row shows."""
        assert batch.ids is not None
        row, patch = (axis.numpy() for axis in batch.content.nonzero(as_tuple=True))
        ids = batch.ids[..., 0].numpy()[row, patch]
        own = self.encoder(batch).pooled.float().numpy() @ self.table
        scores = own
        if self._beside is not None and self.blend is not None:
            ones = np.ones(len(ids), np.float32)
            beside = self._beside(csr_matrix((ones, (row, ids)), shape=own.shape))
            scores = self.field.blend(lambda rows: beside[rows], lambda rows: own[rows], self.blend.weight)(
                np.arange(len(own))
            )
        scores[row, ids] = -np.inf
        return scores

    def of_strangers(self) -> np.ndarray:
        """[id] float32 for people of whose history nothing is known: by the simplest ranker, standardised as blends
        are. Raises InputError where it is not known who took what."""
        if self._first is None:
            raise InputError("it is not known who took what, so nothing can be said to people without a history")
        nothing = self._first(csr_matrix((1, self.table.shape[1]), dtype=np.float32))
        return self.field.blend(lambda rows: nothing[rows], lambda rows: nothing[rows], 0.0)(np.arange(1))[0]
