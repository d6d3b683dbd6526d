"""The items a model knows: their names, and what is known of each before anything is learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy import sparse

from ...core.errors import CorruptFileError, InputError
from ...core.recording import Recording
from .demo import make_market
from .interactions import Interactions
from .log import TRAIN, histories
from .names import numbered
from .people import People, name_of
from .sides import SIDES, Coded, friends_of, joined, side_numbers
from .spectral import spectrum_of


@dataclass(frozen=True, eq=False)
class Catalogue:
    """items: [item] names. known: [item, number] float32, spectral positions and the logarithm of the degree, each of
    mean square one, then numbers of each side graph. train: the graph they come from, of people without names; None =
    nothing was learned from.

    people: those of the graph, in its order; None = they shall not be known again. known_people: [person, number]
    logarithm of the degree and numbers of each side graph. friends: [person, person] of ones, known_friends: [person,
    number], as of items; None = no side graph tells of people.
    """

    items: np.ndarray
    known: np.ndarray
    train: Interactions | None = None
    people: People | None = None
    known_people: np.ndarray | None = None
    friends: sparse.csr_matrix | None = None
    known_friends: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.items)

    @classmethod
    def of_demo(cls, positions: int) -> Catalogue:
        """Items of the demo market, of which nothing is known."""
        items = _demo_items()
        return cls(items, np.zeros((len(items), positions + 1), np.float32))

    @classmethod
    def fit(
        cls,
        recordings: Sequence[Recording],
        positions: int,
        people: bool = False,
        sides: Sequence[str] = (),
        most_friends: int = 16,
    ) -> Catalogue:
        """Items of all logs; what is known of them comes from what may be learned from alone. Histories of one name are
        one person's.

        people: whether people are known again; they are where a side graph is about them. sides: names of side graphs.
        most_friends: that are shown of a person. Raises InputError for a side graph that no log has.
        """
        names = [np.asarray(recording.extras["items"]) for recording in recordings]
        items = names[0] if len(names) == 1 else np.unique(np.concatenate(names))
        blank = cls(items, np.empty((len(items), 0), np.float32))
        user, item, parts, who = [], [], [], {}
        for recording in recordings:
            codes, coded = blank.codes_of(recording), {}
            for history in histories(recording):
                own = codes[history.items[history.side == TRAIN]]
                coded[history.user] = who.setdefault(name_of(recording, history), len(who))
                user.append(np.full(len(own), coded[history.user]))
                item.append(own)
            parts.append(Coded(recording.extras.get(SIDES, {}), codes, coded))
        train = Interactions.from_codes(np.concatenate(user), np.concatenate(item), users=len(who), items=items)
        spectrum = spectrum_of(train, positions)
        graphs = [joined(parts, name, len(items), len(who)) for name in sides]
        of_items, of_people = ([graph for graph in graphs if graph.of == kind] for kind in ("item", "user"))
        near = np.concatenate(
            [_known(spectrum.item_positions, train.item_degree), *side_numbers(of_items, positions)], 1
        )
        if not (people or of_people):
            return cls(items, near, train)
        told = side_numbers(of_people, positions)
        degree = _known(np.empty((len(who), 0), np.float32), train.user_degree)
        known = cls(items, near, train, People.of_names(who), np.concatenate([degree, *told], axis=1))
        if not of_people:
            return known
        return replace(
            known,
            friends=friends_of(of_people, train.user_degree, most_friends),
            known_friends=np.concatenate([_known(spectrum.user_positions, train.user_degree), *told], axis=1),
        )

    def friends_of(self, person: int) -> np.ndarray:
        """[friend] int64 codes of people; none of somebody new, or where nothing tells of friends."""
        if self.friends is None or person < 0:
            return np.empty(0, np.int64)
        return self.friends.indices[slice(*self.friends.indptr[person : person + 2])].astype(np.int64)

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
        found = {"items": names, "known": self.known}
        if self.train is not None:
            found |= {"indptr": self.train.indptr, "indices": self.train.indices}
        if self.people is not None and self.known_people is not None:
            found |= {"people": self.people.digests, "known_people": self.known_people}
        if self.friends is not None and self.known_friends is not None:
            friends = {"friends_indptr": self.friends.indptr, "friends_indices": self.friends.indices}
            found |= {**friends, "known_friends": self.known_friends}
        return found

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
        found = cls(items, np.asarray(arrays["known"], np.float32), train)
        if "people" in arrays:
            found = replace(found, people=People(arrays["people"]), known_people=np.asarray(arrays["known_people"]))
        if "known_friends" in arrays:
            known, starts, friends = (
                np.asarray(arrays[name]) for name in ("known_friends", "friends_indptr", "friends_indices")
            )
            ones = np.ones(len(friends), np.float32)
            matrix = sparse.csr_matrix((ones, friends, starts), shape=(len(known), len(known)))
            found = replace(found, friends=matrix, known_friends=known)
        return found


def _known(positions: np.ndarray, degree: np.ndarray) -> np.ndarray:
    """[node, number] float32 spectral positions and the logarithm of the degree, each of mean square one."""
    size = np.log1p(degree).astype(np.float32)
    known = np.concatenate([positions, (size - size.mean())[:, None]], axis=1)
    return known / (np.sqrt(np.square(known).mean(axis=0)) + np.float32(1e-8))


@cache
def _demo_items() -> np.ndarray:
    """Names of the demo market's items; all of its seeds have the same."""
    return make_market(np.random.default_rng(0)).interactions.items
