"""Zero-shot classification: which class do the words of a prompt mean, without a single label?

Design decisions
- A record's vector is the mean of its windows', a class's that of its prompts. A score is the cosine of the two, minus
  that with the words of the class it is told from, where there is one. Classes never compete in a softmax: several may
  hold, and a softmax over labels would change the order of records (a known fault of published evaluations).
- Nothing is chosen here, so labels of the evaluated records are used once, to score.
- Intervals come from the same subject-level bootstrap as every other number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..blocks.encoder import Encoder
from ..blocks.text_alignment import Alignment
from ..data.numbers import is_number
from ..train.precision import autocast
from .bootstrap import Bootstrap
from .prompts import Prompt, PromptSet
from .rows import Evaluation, Prediction, Row
from .scoring import row_metrics

if TYPE_CHECKING:
    from ..data.store import WindowStore


@dataclass(frozen=True)
class ZeroShot:
    """One class by its prompts: AUROC with the interval over subjects, and how many records it rests on."""

    prompts: str
    name: str
    against: str
    auroc: float
    ci_low: float | None  # None where nobody can be resampled
    ci_high: float | None
    positives: int
    negatives: int
    subjects: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@torch.no_grad()
def zero_shot(
    encoder: Encoder,
    alignment: Alignment,
    prompts: PromptSet,
    store: WindowStore,
    windows: Sequence[int] | np.ndarray,
    batch_size: int = 256,
    precision: str = "auto",
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [record, class] of the classes of `prompts` in their order, and the codes [record] of the records.

    windows: indices into the store; a record is judged by all of its windows among them. Each probability stands for
    itself; only the order of the records under a class has a meaning, not its level.
    """
    windows = np.asarray(windows, dtype=np.int64)
    signals = _signals(encoder, alignment, store, windows, batch_size, precision)
    records, owner = np.unique(store.record_code[windows], return_inverse=True)
    means = np.zeros((len(records), signals.shape[1]))
    np.add.at(means, owner, signals)
    means /= np.linalg.norm(means, axis=1, keepdims=True).clip(min=1e-12)
    words = {name: _words(alignment, entry) for name, entry in prompts.entries.items()}
    cosines = np.stack([means @ words[name] for name in prompts.entries], axis=1)
    place = {name: i for i, name in enumerate(prompts.entries)}
    against = np.stack(
        [cosines[:, place[e.against]] if e.against else np.zeros(len(means)) for e in prompts.entries.values()], axis=1
    )
    return 1.0 / (1.0 + np.exp(-alignment.scale * (cosines - against))), records


def score_zero_shot(
    probability: np.ndarray, records: np.ndarray, prompts: PromptSet, store: WindowStore, resamples: int, seed: int = 0
) -> list[ZeroShot]:
    """AUROC of every class that the store's task labels; classes with no positive or no negative record are left out.

    probability, records: what `zero_shot` returned.
    """
    held = _held_classes(store)
    subject = _of_records(store, store.subject_code)
    found = []
    for column, (name, entry) in enumerate(prompts.entries.items()):
        truth = np.array([_truth(held.get(int(code)), entry, prompts) for code in records])
        known = truth >= 0
        if len(np.unique(truth[known])) < 2:
            continue
        label, score = truth[known], probability[known, column]
        prediction = Prediction(
            label, np.stack([1.0 - score, score], axis=1), subject[records[known]], records[known],
            np.flatnonzero(known),
        )  # fmt: skip
        row = Row("pretrained", "zero-shot", 0.0, seed, 0, row_metrics(prediction, ("other", name)))
        evaluation = Evaluation([row], {row.key: prediction}, {}, ("other", name), store.subjects, store.records)
        interval = Bootstrap(evaluation, resamples, seed).interval(row.key[:3], "auroc")
        plain = interval.plain()
        found.append(
            ZeroShot(
                prompts.name,
                name,
                entry.against,
                interval.mean,
                plain["ci_low"],
                plain["ci_high"],
                int(label.sum()),
                int((label == 0).sum()),
                len(np.unique(prediction.subject)),
            )
        )
    return found


def sentences(found: Sequence[ZeroShot], pairs: int, generated: int) -> list[str]:
    """What a reader must know: a line a class, and one about the pairs of signal and text it was learned from.

    generated: how many of these pairs nobody measured or wrote.
    """
    lines = [
        f"zero-shot {one.name} against {one.against or 'the rest'}: AUROC {one.auroc:.3f}{_bounds(one)}, "
        f"{one.positives} records with it and {one.negatives} without, of {one.subjects} subjects"
        for one in found
    ] or ["no class of the prompts is labelled on both sides here, so zero-shot scores say nothing"]
    return [*lines, f"zero-shot words were learned from {pairs - generated} real and {generated} generated reports"]


def _bounds(one: ZeroShot) -> str:
    return "" if one.ci_low is None else f" [{one.ci_low:.3f}, {one.ci_high:.3f}]"


def _signals(
    encoder: Encoder, alignment: Alignment, store: WindowStore, windows: np.ndarray, batch_size: int, precision: str
) -> np.ndarray:
    """[window, out] unit vectors, in the order of `windows`; long and short ones in batches of their own."""
    device = next(encoder.parameters()).device
    encoder, alignment = encoder.eval(), alignment.to(device).eval()
    order = np.argsort(store.lengths[windows], kind="stable")
    parts = []
    for chosen in np.array_split(order, max(1, -(-len(order) // batch_size))):
        with autocast(device.type, precision):
            encoded = encoder(store.batch(windows[chosen]).to(device))
            parts.append(alignment.signals(encoded).float().cpu().numpy())
    vectors = np.concatenate(parts)
    signals = np.empty_like(vectors)
    signals[order] = vectors
    return signals


def _words(alignment: Alignment, entry: Prompt) -> np.ndarray:
    mean = alignment.texts(entry.prompts).cpu().numpy().mean(axis=0)
    return mean / max(float(np.linalg.norm(mean)), 1e-12)


def _held_classes(store: WindowStore) -> dict[int, set[str]]:
    """Classes of each labelled record under the store's task: those of any of its windows."""
    items, held = store.items(), {}
    if is_number(items.label):  # words tell classes apart, not degrees
        return held
    for label, code in zip(items.label, items.record, strict=True):
        names = [items.classes[i] for i in (np.flatnonzero(label) if items.label.ndim == 2 else [label])]
        held.setdefault(int(code), set()).update(names)
    return held


def _truth(held: set[str] | None, entry: Prompt, prompts: PromptSet) -> int:
    """1 = the record has the class, 0 = it is one to tell it from, -1 = it does not count."""
    if held is None:
        return -1
    if held & set(entry.classes):
        return 1
    return 0 if not entry.against or held & set(prompts.entries[entry.against].classes) else -1


def _of_records(store: WindowStore, codes: np.ndarray) -> np.ndarray:
    """[record] value of a column that is the same for all windows of a record."""
    values = np.full(len(store.records), -1, np.int64)
    values[store.record_code] = codes
    return values
