"""Gradient training of a head on an encoder: fine-tuning, from scratch, semi-supervised, and the attentive probe.

- One loop for all of them, so that the controls differ in nothing but the starting weights (scratch) or in which
  weights move (attentive probe). Windows are augmented by the modality, side features are shaken, classes are weighted.
- Layer-wise learning rates (Clark et al. 2020, https://arxiv.org/abs/2003.10555): lower layers of a pretrained encoder
  move less. A fresh encoder moves at one rate.
- Predictions come from an exponential moving average of the weights; its best step is chosen on validation subjects.
  With `eval_every: 0` nothing is chosen: validation subjects join the training subjects and the last step is used.
- A decision may be the mean over several views of a window (`test_views`), drawn as the views of training.
- Every draw is a function of (seed, step, window), so a run is repeatable.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ..blocks.encoder import Encoder
from ..blocks.schedules import WarmupCosine
from ..config import FinetuneConfig, SemiConfig
from ..modality import Modality
from ..rng import RowRandom
from ..train.optimizer import decay_groups
from ..train.precision import autocast
from ..train.seeding import own_random_state
from .classifier import ItemClassifier, View, further_views, predict
from .dense_head import DenseHead
from .head_start import start_head
from .heads import ItemHead, neighbourhood
from .layout import ItemLayout
from .operating_point import balanced_offsets, moved
from .readout import Readout
from .scaling import Standardizer
from .semi import Unlabelled
from .targets import loss
from .temporal import TemporalBranch
from .trial import Trial

if TYPE_CHECKING:
    from ..data.store import WindowStore

OnStep = Callable[[int, float], None]


@dataclass(frozen=True, eq=False)
class Trained:
    """model: averaged weights of the chosen step; probability: [test item, class].

    step: the chosen one. history: (step, validation score). offsets: [given, class] that validation moved the
    probabilities by, None where it was not asked.
    """

    model: ItemClassifier
    probability: np.ndarray
    step: int
    history: list[tuple[int, float]]
    offsets: np.ndarray | None = None

    @property
    def chosen(self) -> dict[str, Any]:
        return {"step": self.step, "history": self.history}


def train_classifier(
    trial: Trial,
    modality: Modality,
    store: WindowStore,
    encoder: Encoder,
    config: FinetuneConfig,
    *,
    readout: Readout | None = None,
    frozen: bool = False,
    pretrained: bool = True,
    semi: SemiConfig | None = None,
    features: np.ndarray | None = None,
    batch_size: int = 256,
    precision: str = "auto",
    on_step: OnStep | None = None,
) -> Trained:
    """Train a copy of `encoder` (untouched) with a new head on the trial and score its test items.

    readout: how an item is read beside the head's own queries, default: as its task says.
    frozen: train the head only. pretrained: use layer-wise rates. batch_size: windows at a time when predicting.
    semi: also learn from the trial's unlabelled items, so.
    features: of the last layer of `encoder`, where they are known already: what a head start begins from.
    precision: as `trainer.precision`.
    """
    assert store.task is not None
    choose = bool(config.eval_every) and len(trial.validation) > 0
    balance = config.offset and len(trial.validation) > 0 and not trial.numeric
    fitted = trial.train if choose or balance else trial.learnable
    device = next(encoder.parameters()).device
    with own_random_state(trial.seed, device.type):
        head = _new_head(encoder.width, readout or Readout.of(store.task), trial, store, fitted, config.dropout)
        temporal = None
        if config.temporal_blocks and not frozen:
            temporal = TemporalBranch(encoder.width, store.spec, config.temporal_blocks, config.dropout).to(device)
        model = ItemClassifier(copy.deepcopy(encoder), head.to(device), frozen=frozen, temporal=temporal)
        if config.head_start and isinstance(head, ItemHead):
            start_head(
                head, model.encoder, trial, store, fitted, c=config.head_start, class_weight=config.class_weight,
                features=features, batch_size=batch_size, precision=precision,
            )  # fmt: skip
        run = _Run(
            trial, modality, store, model, config, fitted,
            layerwise=pretrained and not frozen, semi=semi, precision=precision,
        )  # fmt: skip
        best, kept, history = -np.inf, config.steps, []
        state = None
        for step in range(config.steps):
            value = run.step(step)
            if on_step is not None:
                on_step(step, value)
            last = step + 1 == config.steps
            if choose and (last or (step + 1) % config.eval_every == 0):
                score = trial.score(_scores(run.average, trial, store, trial.validation, batch_size, precision))
                history.append((step + 1, score))
                if score > best:
                    best, kept, state = score, step + 1, copy.deepcopy(run.average.state_dict())
        if state is not None:
            run.average.load_state_dict(state)
    views = further_views(modality, trial.seed, config.test_views)
    probability = _scores(run.average, trial, store, trial.test, batch_size, precision, views)
    offsets = None
    if balance:
        held_out = _scores(run.average, trial, store, trial.validation, batch_size, precision, views)
        offsets = _balanced(trial, held_out)
        probability = moved(probability, offsets[trial.items.given[trial.test]], several=trial.multilabel)
    return Trained(run.average, probability, kept, history, offsets)


def _balanced(trial: Trial, held_out: np.ndarray) -> np.ndarray:
    """[given, class] offsets that probabilities `held_out` [validation item, class] ask for, for each head alone."""
    given, offsets = trial.items.given[trial.validation], np.zeros((trial.items.models, held_out.shape[1]))
    for code in np.unique(given):
        asked = trial.validation[given == code]
        offsets[code] = balanced_offsets(held_out[given == code], trial.items.label[asked])
    return offsets


class _Run:
    """Model, averaged model and optimiser of one training."""

    def __init__(
        self,
        trial: Trial,
        modality: Modality,
        store: WindowStore,
        model: ItemClassifier,
        config: FinetuneConfig,
        fitted: np.ndarray,
        *,
        layerwise: bool,
        semi: SemiConfig | None,
        precision: str,
    ) -> None:
        self.trial, self.modality, self.store, self.model, self.config = trial, modality, store, model, config
        self.device, self.precision = next(model.parameters()).device, precision
        self.layout = ItemLayout(trial.items, fitted)
        self.label = torch.from_numpy(trial.items.label)
        given = trial.items.given[fitted]
        weights = [trial.weights(fitted[given == code], config.class_weight) for code in range(trial.items.models)]
        self.weights = torch.from_numpy(np.stack(weights)).to(self.device)
        self.optimizer = torch.optim.AdamW(parameter_groups(model, config, layerwise=layerwise), fused=True)
        self.rate = WarmupCosine(peak=1.0, warmup=config.warmup)
        self.average = copy.deepcopy(model).requires_grad_(False)
        self.unlabelled = None
        if semi is not None:
            self.unlabelled = Unlabelled(
                trial, modality, store, semi, batch_size=config.batch_size, steps=config.steps, precision=precision
            )

    def step(self, step: int) -> float:
        """One update; returns the training loss."""
        laid = self.layout.batch(self.store, self.layout.random_rows(self.config.batch_size, self.trial.seed, step))
        batch = laid.batch.to(self.device)
        rng = RowRandom(self.trial.seed, step, batch.window)
        if self.config.augment:
            batch = self.modality.augment(batch, rng.fork("augment"))
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * self.rate(step, self.config.steps)
        self.model.train()
        with autocast(self.device.type, self.precision):
            logits = self.model(batch, rng.fork("side"))
        known = laid.item >= 0
        label = self.label[laid.item[known]].to(self.device)
        assert batch.events is not None
        weights = self.weights[0] if len(self.weights) == 1 else self.weights[batch.events.given[known.to(self.device)]]
        value = loss(logits[known.to(self.device)], label, weights, self.config.label_smoothing)
        if self.unlabelled is not None:
            value = value + self.unlabelled.loss(self.model, self.average, step)
        self.optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self._follow(step)
        return float(value.detach())

    @torch.no_grad()
    def _follow(self, step: int) -> None:
        # young averages forget faster, otherwise the fresh head's first weights would stay in the mean
        keep = min(self.config.weight_average, (step + 1) / (step + 10)) if self.config.weight_average else 0.0
        torch._foreach_lerp_(  # type: ignore
            list(self.average.parameters()), list(self.model.parameters()), 1.0 - keep
        )


def parameter_groups(model: ItemClassifier, config: FinetuneConfig, *, layerwise: bool) -> list[dict[str, Any]]:
    """Optimiser groups by learning rate and weight decay; `peak` is the rate the schedule scales.

    layerwise: the encoder's last group moves at `encoder_rate` times the head's rate and each group below at
    `layer_decay` times the one above.
    """
    rates: dict[int, float] = {}
    if layerwise:
        layers = model.encoder.layer_groups()
        for height, layer in enumerate(reversed(layers)):
            rates |= {id(p): config.encoder_rate * config.layer_decay**height for p in layer}
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for group in decay_groups(model, config.weight_decay):
        for parameter in group["params"]:
            key = (config.lr * rates.get(id(parameter), 1.0), group["weight_decay"])
            groups.setdefault(key, []).append(parameter)
    return [{"params": p, "lr": peak, "peak": peak, "weight_decay": decay} for (peak, decay), p in groups.items()]


def _new_head(
    width: int, readout: Readout, trial: Trial, store: WindowStore, fitted: np.ndarray, dropout: float
) -> ItemHead | DenseHead:
    assert store.task is not None
    if store.task.unit == "dense":
        return DenseHead(width, store.task, store.spec, dropout)
    side = Standardizer.fit(trial.items.features[fitted])
    radius = neighbourhood(store.task, store.spec)
    return ItemHead(width, readout, radius, side, trial.classes, dropout, trial.items.models)


def _scores(
    model: ItemClassifier,
    trial: Trial,
    store: WindowStore,
    asked: np.ndarray,
    batch_size: int,
    precision: str,
    views: Sequence[View] = (),
) -> np.ndarray:
    options: dict[str, Any] = {"multilabel": trial.multilabel, "batch_size": batch_size, "precision": precision}
    return predict(model, store, ItemLayout(trial.items, asked), asked, views=views, **options)
