"""The recommender adapter: a graph of who took what is a recording, a person's history is a window, an item a patch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from ...core.crop import crop
from ...core.errors import InputError, nearest
from ...core.known import KnownIds, Unknown
from ...core.modality import Dataset, Modality, Recording, Source, Task, Window
from ...core.ranking import Leaks
from ...core.rng import RowRandom
from ...core.sequence import PatchSequence, SequenceSpec
from .beside import side_scores
from .catalogue import Catalogue
from .datasets import MARKETS, Market
from .demo import DemoMarket, make_market
from .field import ItemRanking
from .labels import LABELS, PEOPLE, demo_labels, history_features, people_tasks, read_labels
from .leaks import leak_report
from .log import histories, make_log
from .own_files import OWN, WHOLE, OwnOptions, OwnSplit, cut, own_dataset, read_own
from .own_sides import own_sides
from .people import name_of
from .questions import known_items, questions_of
from .side_graphs import SideGraph
from .sides import SIDES
from .splits import KINDS
from .tokens import patches_of, spec_of

TASK = "items"


@dataclass(frozen=True)
class RecommenderConfig:
    """How graphs are read and split, what is known of items, and views of histories; saved with the weights."""

    positions: int = 64  # spectral positions of an item on the training graph; they and its degree are known beforehand
    split: str = "random"  # of your own files: random, leave-one-out, time, people, or none (all is learned from)
    test_share: float = 0.2  # of the interactions, or of the people, in such a split
    validation_share: float = 0.1  # likewise
    choosing: float = 0.2  # share of people whose validation part chooses, where it was cut from train; others learn it
    split_seed: int = 0  # which random split
    layout: str = ""  # of your own files: table, lists or sequences; "" = found from the file
    least_rating: float | None = None  # of your own files: what is rated lower is left out
    k_core: int = 0  # of your own files: only users with so many items and items with so many users, 0 = all
    drop_overlap: bool = False  # of your own parts of a split: leave out of test what train has; else it is refused
    labels: str = ""  # a CSV `user,label`: what people are like, for the task "people"
    augment_keep: float = 0.7  # share of a history that a view keeps
    people: bool = False  # windows tell whose they are, so that people of training can be known again by their names
    sides: tuple[str, ...] = ()  # side graphs that are used, as the data have them: social, ...; see `own_sides`
    time: bool = False  # when each item was taken is read, as an axis beside the order (seconds, or dates)
    friends: int = 16  # that are shown beside a history at most, where a side graph tells of people

    def __post_init__(self) -> None:
        object.__setattr__(self, "sides", tuple(self.sides))  # lists out of files
        for name in ("choosing", "augment_keep"):
            if not 0 < getattr(self, name) <= 1:
                raise InputError(
                    "must be a share above 0 and up to 1", source=f"modality.{name}", got=getattr(self, name)
                )
        if self.split not in (WHOLE, *KINDS[:-1]):
            raise InputError("unknown split", source="modality.split", got=self.split, fix=nearest(self.split, KINDS))
        for name, least in (("positions", 1), ("k_core", 0), ("friends", 0)):
            if getattr(self, name) < least:
                raise InputError(f"must be {least} or more", source=f"modality.{name}", got=getattr(self, name))


class Recommender(Modality):
    """Histories of people who take items. Before it is `fitted`, it knows the items of the demo market."""

    name: ClassVar[str] = "recommender"
    Config: ClassVar[type] = RecommenderConfig
    reading_options: ClassVar[tuple[str, ...]] = (*(field.name for field in fields(OwnOptions)), LABELS)
    own_dataset: ClassVar[str] = OWN
    config: RecommenderConfig

    def __init__(self, config: RecommenderConfig | None = None, catalogue: Catalogue | None = None) -> None:
        super().__init__(config)
        self.catalogue = catalogue or Catalogue.of_demo(self.config.positions)
        self._fitted = catalogue is not None

    @property
    def spec(self) -> SequenceSpec:
        return spec_of(self.catalogue, self.config.people, self.config.time)

    # ---- what the data tell -----------------------------------------------------------------------------------

    def fitted(self, sources: Sequence[Source]) -> Recommender:
        """Items of all sources, and their places in the graph of what is learned from."""
        if self._fitted:
            return self
        c, logs = self.config, [self.load(source) for source in sources]
        return Recommender(c, Catalogue.fit(logs, c.positions, c.people, c.sides, c.friends))

    def learned(self) -> Mapping[str, np.ndarray]:
        return self.catalogue.arrays() if self._fitted else {}

    def restored(self, learned: Mapping[str, np.ndarray]) -> Recommender:
        return Recommender(self.config, Catalogue.of_arrays(learned)) if learned else self

    def serving(self) -> Recommender:
        served = Recommender(replace(self.config, split=WHOLE, k_core=0, labels=""), self.catalogue)
        served._fitted = self._fitted
        return served

    def id_names(self) -> Sequence[str]:
        return self.catalogue.items.tolist()

    def known_of_ids(self) -> KnownIds:
        known, train = self.catalogue, self.catalogue.train
        people = np.zeros((1, 1), np.float32) if known.known_people is None else known.known_people
        numbers = (known.known, people, known.known_friends)[: len(self.spec.vocabulary)]
        return KnownIds(tuple(n for n in numbers if n is not None), None if train is None else train.matrix)

    # ---- files to histories -----------------------------------------------------------------------------------

    def read(self, path: Path | str) -> Recording:
        path = Path(path)
        split = self._own(path).split
        log = make_log(split, path.stem, self.config.choosing, timed=self.config.time)
        if self._fitted:  # all that side graphs have to tell is in the catalogue
            return log
        return self._with_sides(log, own_sides(path, split.train, self.config.sides))

    def _own(self, path: Path) -> OwnSplit:
        return read_own(path, OwnOptions.of(self.config))

    def open(self, source: Source) -> Recording:
        name = source.extras.get("market")
        if source.path is None or name is None:
            return super().open(source)
        market = _market(name, source.path, self.config.split_seed)
        choosing = self.config.choosing if market.split.note else 1.0  # an official validation part is not learned from
        log = make_log(market.split, source.record, choosing, timed=self.config.time)
        return crop(self._with_sides(log, market.sides), source.start_s, source.stop_s)

    def _with_sides(self, log: Recording, sides: Mapping[str, SideGraph]) -> Recording:
        return replace(log, extras={**log.extras, SIDES: sides}) if self.config.sides else log

    def leaks(self, sources: Sequence[Source]) -> list[Leaks]:
        """Of each market that is split."""
        return [] if self.config.split == WHOLE else [self._leaks(source) for source in sources]

    def _leaks(self, source: Source) -> Leaks:
        if source.path is None:
            own = OwnSplit(cut(_demo_market(source.seed).interactions, OwnOptions.of(self.config)))
        elif name := source.extras.get("market"):
            own = OwnSplit(_market(name, source.path, self.config.split_seed).split)
        else:
            own = self._own(source.path)
        report = leak_report(own.split)
        return Leaks(source.record, asdict(report), (*own.notes, *report.sentences()))

    def windows(self, recording: Recording, task: str | None = None) -> list[Window]:
        """What each person took. Under the task of items, one who is asked twice has a window for each question; under
        a task about people, all that each took is shown."""
        codes, labels = self.catalogue.codes_of(recording), self._labels_of(recording, task)
        found = []
        for history in histories(recording):
            who = name_of(recording, history)
            if labels is None:
                own, about = questions_of(history, codes, asks=task is not None), {}
            else:
                items = known_items(history, codes)
                own = [(items, None)] if items.size else []
                label = (labels[who],) if who in labels else ()
                hand = history_features(self.catalogue, items[0].astype(np.int64)) if items.size else None
                about = {"label": label, "hand": hand}
            extras = {"ordered": history.ordered, "person": self._code_of(who)}
            for shown, question in own:
                timed = {"hours": shown[1]} if len(shown) > 1 else {}
                found.append(
                    Window(
                        shown[:1], ("item",), 1.0, float(history.start), recording.record, who, recording.site,
                        question=question, extras=extras | timed, **about,
                    )
                )  # fmt: skip
        return found

    def _labels_of(self, recording: Recording, task: str | None) -> Mapping[str, str] | None:
        """{person: class} under a task about people, None under others."""
        if task is None or task == TASK:
            return None
        if task == PEOPLE:
            return read_labels(Path(self.config.labels))
        return recording.extras.get(LABELS, {}).get(task, {})

    def relate(self, sources: Sequence[Source]) -> list[Source]:
        """Windows depend on the labels too, which lie in a file of their own."""
        if not self.config.labels:
            return list(sources)
        labels = tuple(read_labels(Path(self.config.labels)).items())
        return [replace(source, extras={**source.extras, "labelled": labels}) for source in sources]

    def unknown(self, recording: Recording) -> Unknown:
        """Items that the catalogue lacks, and people who took none that it has."""
        codes = self.catalogue.codes_of(recording)
        served = {name_of(recording, h) for h in histories(recording) if (codes[h.items] >= 0).any()}
        strange = np.asarray(recording.extras.get("items", ()))[codes < 0] if (codes < 0).any() else ()
        people = (str(name) for name in recording.extras.get("users", ()))
        return Unknown(tuple(map(str, strange)), tuple(name for name in people if name not in served))

    def _code_of(self, name: str) -> int:
        """Of a person of the training graph, -1 = somebody new, or people are not told apart."""
        return -1 if self.catalogue.people is None else self.catalogue.people.code_of(name)

    # ---- histories to patches ---------------------------------------------------------------------------------

    def patchify(self, window: Window) -> PatchSequence:
        """An item a patch, then whose history it is and that person's friends, where that is known; see `tokens`."""
        ordered, person = bool(window.extras.get("ordered")), window.extras.get("person", -1)
        items, hours = window.values[0].astype(np.int64), window.extras.get("hours")
        return patches_of(self.spec, self.catalogue, items, ordered, person, hours)

    def augment(self, batch: PatchSequence, rng: RowRandom) -> PatchSequence:
        """A random part of each history, at least one item of it; who it belongs to stays."""
        draw = torch.gather(rng.uniform(batch.n_patches), 1, (batch.valid.cumsum(dim=1) - 1).clamp(min=0))
        draw = draw.masked_fill(~batch.content, 2.0)
        kept = (draw < self.config.augment_keep) | (draw == draw.min(dim=1, keepdim=True).values)
        return batch.replace(valid=batch.valid & (kept | ~batch.content))

    def maskers(self) -> dict[str, dict[str, Any]]:
        return {"random": {"name": "random", "ratio": [0.3, 0.6]}}

    # ---- what it knows ----------------------------------------------------------------------------------------

    def tasks(self) -> dict[str, Task]:
        return {TASK: Task(TASK, "ranking", ()), **people_tasks(self.config.labels)}

    def ranking(self) -> ItemRanking:
        return ItemRanking(side_scores(self.catalogue, self.config.positions))

    def datasets(self) -> dict[str, Dataset]:
        tasks = (TASK, PEOPLE) if self.config.labels else (TASK,)
        return {OWN: own_dataset(tasks), **{name: _dataset(name, tasks) for name in MARKETS}}

    def example(self, rng: np.random.Generator) -> Recording:
        market = make_market(rng)
        split = cut(market.interactions, OwnOptions.of(self.config))
        log = make_log(split, "demo", self.config.choosing, timed=self.config.time)
        log = replace(log, extras={**log.extras, LABELS: demo_labels(market)})
        return self._with_sides(log, {side.name: side for side in (market.social, market.genre)})

    def demo(self, seed: int = 0) -> list[Source]:
        """One market."""
        return [Source(path=None, record="demo", seed=seed)]


def _demo_market(seed: int | None) -> DemoMarket:
    return make_market(np.random.default_rng(seed))


def _market(name: str, root: Path, seed: int) -> Market:
    """A data set, read once for all who ask in a row: what it offers, what its catalogue is, what its windows are."""
    files = sorted(path for path in root.glob("*") if path.is_file())
    return _read_market(name, root, seed, tuple((path, path.stat().st_mtime_ns) for path in files))


@lru_cache(maxsize=1)
def _read_market(name: str, root: Path, seed: int, files: tuple[tuple[Path, int], ...]) -> Market:
    return MARKETS[name].read(root, seed)


def _dataset(name: str, tasks: tuple[str, ...]) -> Dataset:
    reader = MARKETS[name]

    def list_sources(root: Path) -> list[Source]:
        _market(name, root, 0)  # raises where the layout is another one
        return [Source(path=root, record=name, extras={"market": name})]

    return Dataset(
        name, reader.folder, list_sources, tasks, licence=reader.licence, citation=reader.citation,
        instructions=reader.instructions,
    )  # fmt: skip
