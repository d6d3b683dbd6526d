"""The recipe as typed data: every key a YAML or a dotted override may set, with its default and meaning.

`modality`, `encoder` and `objective` carry a registered `name`; their remaining keys belong to the dataclass or
composition of that name. Nothing in a recipe can import code. Loading and merging live in `core.settings`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class DataConfig:
    """Where recordings come from."""

    name: str = "demo"  # "demo", a data set the modality can read, or "manifest" (implied by `manifest`)
    root: str | None = None  # folder of a named data set; default: under $OMNIPATCH_DATA
    manifest: str | None = None  # CSV with path, subject, label (see README)
    task: str | None = None  # what to predict; default: the data set's first task
    # what a manifest's labels are; auto: numbers where one has a fraction, else names of classes
    scale: Literal["auto", "nominal", "ordinal", "interval"] = "auto"
    pretrain_with: tuple[str, ...] = ()  # further named data sets, used without labels in pretraining
    limit: int | None = None  # keep only the first recordings (for a quick look)
    demo_seed: int = 0  # the embedded demo set is a pure function of it
    cache: str | None = None  # window cache; default $OMNIPATCH_CACHE or ~/.cache/omnipatch
    jobs: int = 1  # processes that prepare recordings

    @property
    def meant(self) -> str:
        """Name of the data that are meant."""
        return "manifest" if self.manifest else self.name


@dataclass(frozen=True)
class SplitConfig:
    """How subjects are divided. Sides are always disjoint by `group`."""

    # auto: official sides, or the data set's own folds, or as many as are usual for it, or holdout
    kind: Literal["auto", "official", "holdout", "kfold"] = "auto"
    group: Literal["subject", "site", "record", "window"] = "subject"  # anything but subject or site is stamped
    test_fraction: float = 0.25  # share of groups held out (holdout)
    validation_fraction: float = 0.2  # share of the training groups used for every choice
    folds: int = 5  # number of folds (kfold)
    seed: int = 0  # which partition
    pretrain_on_test: bool = False  # also pretrain on the test subjects' signals; stamped on the report


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW and its schedule."""

    lr: float = 1e-3  # peak learning rate
    weight_decay: float = 0.05  # on matrices only; norms, biases and embeddings are exempt
    betas: tuple[float, float] = (0.9, 0.95)  # how long gradients and their squares are remembered
    schedule: Literal["cosine", "infinite", "constant"] = "cosine"
    warmup: float = 0.1  # share of the steps with rising rate
    final: float = 0.01  # final rate as a share of the peak
    clip: float = 1.0  # gradient norm limit, 0 = none


@dataclass(frozen=True)
class TrainerConfig:
    """Pretraining loop. Keys not listed here go to lightning.Trainer as they are."""

    max_steps: int = 1000  # of pretraining
    max_passes: float = 0.0  # most passes over the training windows, where fewer steps than max_steps; 0 = no cap
    batch_size: int = 64  # windows a step, over all devices
    length_buckets: int = 8  # windows of a batch have lengths of one of these ranges; 1 = of all, with more padding
    most_patches: int = 0  # of windows of ids: a random part of what is longer, anew in each step; 0 = windows whole
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "auto"  # auto: bf16-mixed where that is fast
    accelerator: str = "auto"  # cpu, gpu, mps, ...
    devices: int | str = 1  # how many on each machine
    num_nodes: int = 1  # machines, under torchrun or SLURM
    strategy: str = "auto"  # of lightning: ddp, fsdp, ...
    # folds that are worked on at the same time, each in a process with its share of the threads; 0 = as many as there
    # are threads on a CPU, 1 on an accelerator. Of one fold alone: the rows with and without pretraining, 1 = in turn
    folds_at_once: int = 0
    accumulate_grad_batches: int = 1  # batches whose gradients make one step of the weights
    checkpoint_every: int = 200  # steps between checkpoints
    keep_checkpoints: int = 2  # the newest
    log_every: int = 10  # steps between lines of metrics.csv
    monitor_every: int = 50  # steps between collapse and kNN checks
    tensorboard: bool = False  # also write what TensorBoard reads
    extra: dict[str, Any] = field(default_factory=dict)  # further lightning.Trainer arguments


@dataclass(frozen=True)
class ProbeConfig:
    """Frozen-feature protocols."""

    layers: int = 1  # mean of the last layers
    # how the tokens of a whole window become one vector: over all of them, or place by place
    pool: Literal["mean", "mean_std", "place", "place_std"] = "mean"
    norm: bool = True  # read behind the encoder's last norm; before it, the size of a token still tells (a level)
    most_items: int = 4000  # items of one class that kNN and the linear probe use; the rest is represented by weight
    knn_k: int = 20  # neighbours that vote
    knn_temperature: float = 0.07  # of their votes; a small one listens to the nearest
    linear_c: tuple[float, ...] = (0.001, 0.01, 0.1, 1.0)  # inverse L2 strengths; chosen on validation subjects
    token_scale: tuple[float, ...] = (0.1, 0.3)  # weight of encoder features beside side features; chosen likewise
    class_weight: Literal["none", "sqrt", "balanced"] = "sqrt"  # how much more a rare class counts
    attentive_steps: int = 300
    attentive_lr: float = 1e-3


@dataclass(frozen=True)
class FinetuneConfig:
    """Full fine-tuning; the from-scratch control uses the same schedule."""

    steps: int = 600
    batch_size: int = 64
    lr: float = 5e-4  # peak rate of the head
    layer_decay: float = 0.75  # rate multiplier a layer down from the head (pretrained only; scratch uses 1)
    encoder_rate: float = 0.5  # rate of the encoder's last layer as a share of the head's (pretrained only)
    weight_decay: float = 0.05
    warmup: float = 0.1
    class_weight: Literal["none", "sqrt", "balanced"] = "sqrt"  # how much more a rare class counts
    augment: bool = True  # learn from views of the modality
    dropout: float = 0.1  # in the head
    temporal_blocks: int = 0  # multi-scale convolutions over time at each place, between encoder and head; 0 = none
    offset: bool = False  # decide where validation subjects' errors balance; they do not train then
    head_start: float = 0.0  # begin as a linear probe of this inverse L2 strength (LP-FT), 0 = with a fresh head
    label_smoothing: float = 0.0
    weight_average: float = 0.99  # EMA of the weights used for prediction, 0 = off
    eval_every: int = 100  # steps between validation checks; 0 = no check, validation subjects train too
    test_views: int = 1  # decide by the mean over so many views of a window, the first as it is


@dataclass(frozen=True)
class SemiConfig:
    """The protocol `semi`: fine-tuning that also learns from unlabelled windows of the training and validation side."""

    policy: Literal["fixmatch", "freematch", "softmatch"] = "freematch"  # which of its own decisions a model believes
    threshold: float = 0.95  # fixmatch: confidence needed; freematch, softmatch: most that is ever needed
    weight: float = 1.0  # of the unlabelled windows' loss
    ratio: float = 2.0  # unlabelled windows a step, for each labelled one
    rise: float = 0.3  # share of the steps over which the weight rises


@dataclass(frozen=True)
class EvaluateConfig:
    """Which rows the result table has."""

    # covariates: a row where the data set declares some (age, sex), nothing elsewhere
    models: tuple[str, ...] = ("pretrained", "random-init", "scratch", "hand-features", "covariates", "prior")
    # also layers, semi (`semi.*`), side (`evaluate.side_share`); ranking, where a task ranks
    protocols: tuple[str, ...] = ("knn", "linear", "attentive", "finetune")
    label_fractions: tuple[float, ...] = (1.0,)  # shares of the labelled subjects (at least one of them), e.g. 0.1,1
    labels_per_class: tuple[int, ...] = ()  # also learn from so many labelled items of each class alone, e.g. 1,5
    label_draws: int = 5  # random choices of these items, for each of these numbers
    seeds: int = 3  # of whatever is trained on labels; of pretraining itself where a task ranks
    scratch_total_steps: bool = False  # train from scratch as long as pretraining and fine-tuning together
    blend: float = 0.0  # share of the hand features' own learner in what a trained head predicts
    # make that learner as unsure as its answers about training people left out of its fit say it should be
    blend_calibrated: bool = False
    # share of a head on the encoder as it was before (attentive) in what a fine-tuned encoder predicts
    frozen_share: float = 0.0
    side_share: float = 0.33  # protocol side: share of the frozen encoder in what it and a fresh network say together
    decisions_s: tuple[float, ...] = ()  # also score decisions on stretches of so many seconds, of several windows each
    bootstrap: int = 1000  # subject-level resamples for intervals
    batch_size: int = 256
    drop_sensors: tuple[int, ...] = ()  # also score test recordings without so many of their sensors, e.g. 3,6,9
    sensor_draws: int = 5  # random choices of the sensors that are left out, for each of these numbers
    subject_leak: bool = True  # also ask how well frozen features tell whose recording it is
    occlusion: int = 200  # test windows a fold to see what decisions rest on, where a modality names places; 0 = none
    cutoffs: tuple[int, ...] = ()  # lengths of ranked lists that are scored, e.g. 10,20,50; () = usual in the field
    ranking_negatives: int = 0  # rank among so many drawn ids; compares with no full ranking. 0 = rank all
    zero_shot: tuple[str, ...] = ()  # prompts of the modality, or your YAML files, for encoders aligned with texts


@dataclass(frozen=True)
class Recipe:
    """One recipe: a modality, an objective and everything needed to repeat a run."""

    name: str = "unnamed"
    description: str = ""
    seed: int = 0
    modality: dict[str, Any] = field(default_factory=lambda: {"name": "ecg"})
    encoder: dict[str, Any] = field(default_factory=lambda: {"name": "transformer"})
    objective: dict[str, Any] = field(default_factory=lambda: {"name": "jepa"})
    data: DataConfig = field(default_factory=DataConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    probe: ProbeConfig = field(default_factory=ProbeConfig)
    finetune: FinetuneConfig = field(default_factory=FinetuneConfig)
    semi: SemiConfig = field(default_factory=SemiConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
