"""The items a model knows: their names, and what is known of each before anything is learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from ...core.errors import CorruptFileError, InputError
from ...core.recording import Recording
from .demo import make_market
from .interactions import Interactions
from .log import TRAIN, histories
from .names import numbered
from .people import People, name_of
from .spectral import spectrum_of


@dataclass(frozen=True, eq=False)
class Catalogue:
    """items: [item] names. known: [item, number] float32, spectral positions and the logarithm of the degree, each of
    mean square one. train: the graph they come from, of people without names; None = nothing was learned from.
    people: those of the graph, in its order; None = they shall not be known again. known_people: [person, number], as
    of items.
    """

    items: np.ndarray
    known: np.ndarray
    train: Interactions | None = None
    people: People | None = None
    known_people: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.items)

    @classmethod
    def of_demo(cls, positions: int) -> Catalogue:
        """Items of the demo market, of which nothing is known."""
        items = _demo_items()
        return cls(items, np.zeros((len(items), positions + 1), np.float32))

    @classmethod
    def fit(cls, recordings: Sequence[Recording], positions: int, people: bool = False) -> Catalogue:
        """Items of all logs; what is known of them comes from what may be learned from alone. Histories of one name are
        one person's. people: whether people are known again."""
        names = [np.asarray(recording.extras["items"]) for recording in recordings]
        items = names[0] if len(names) == 1 else np.unique(np.concatenate(names))
        blank = cls(items, np.empty((len(items), 0), np.float32))
        user, item, codes_of_people = [], [], {}
        for recording in recordings:
            codes = blank.codes_of(recording)
            for history in histories(recording):
                own = codes[history.items[history.side == TRAIN]]
                code = codes_of_people.setdefault(name_of(recording, history), len(codes_of_people))
                user.append(np.full(len(own), code))
                item.append(own)
        train = Interactions.from_codes(
            np.concatenate(user), np.concatenate(item), users=len(codes_of_people), items=items
        )
        spectrum = spectrum_of(train, positions)
        known = _known(spectrum.item_positions, train.item_degree)
        if not people:
            return cls(items, known, train)
        who = People.of_names(codes_of_people)
        return cls(items, known, train, who, _known(spectrum.user_positions, train.user_degree))

    def codes_of(self, recording: Recording) -> np.ndarray:
        """[item of the log] int64 code here, -1 = an item this catalogue does not know. Raises InputError when it knows
        none of them."""
        names = recording.extras.get("items")
        if names is None:
            return np.arange(len(self))
        names = np.asarray(names)
        if len(names) == len(self.items) and bool((names == self.items).all()):
            return np.arange(len(self))
        order = np.argsort(self.items)
        at = np.searchsorted(self.items[order], names).clip(max=len(order) - 1)
        codes = np.where(self.items[order][at] == names, order[at], -1)
        if (codes < 0).all():
            raise InputError(
                "the model knows none of these items", source=recording.record, got=f"{names[0]}, ...",
                expected=f"items such as {self.items[0]}", fix="pretrain on this catalogue",
            )  # fmt: skip
        return codes

    def arrays(self) -> dict[str, np.ndarray]:
        """As plain numbers; names as bytes of UTF-8, one a line."""
        names = np.frombuffer("\n".join(self.items.tolist()).encode(), np.uint8)
        graph = {} if self.train is None else {"indptr": self.train.indptr, "indices": self.train.indices}
        people = {} if self.people is None else {"people": self.people.digests, "known_people": self.known_people}
        return {"items": names, "known": self.known, **graph, **people}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Catalogue:
        """The inverse of `arrays`."""
        items = np.array(np.asarray(arrays["items"]).tobytes().decode().split("\n"))
        if len(items) != len(arrays["known"]):
            raise CorruptFileError("the catalogue is damaged", got=len(arrays["known"]), expected=f"{len(items)} items")
        train = None
        if "indptr" in arrays:
            people = numbered(len(arrays["indptr"]) - 1)
            train = Interactions(people, items, np.asarray(arrays["indptr"]), np.asarray(arrays["indices"]))
        who = (People(arrays["people"]), np.asarray(arrays["known_people"], np.float32)) if "people" in arrays else ()
        return cls(items, np.asarray(arrays["known"], np.float32), train, *who)


def _known(positions: np.ndarray, degree: np.ndarray) -> np.ndarray:
    """[node, number] float32 spectral positions and the logarithm of the degree, each of mean square one."""
    size = np.log1p(degree).astype(np.float32)
    known = np.concatenate([positions, (size - size.mean())[:, None]], axis=1)
    return known / (np.sqrt(np.square(known).mean(axis=0)) + np.float32(1e-8))


@cache
def _demo_items() -> np.ndarray:
    """Names of the demo market's items; all of its seeds have the same."""
    return make_market(np.random.default_rng(0)).interactions.items
