"""A market to test, teach and demonstrate with: people of a few tastes, popular and new things, friends.

What textbooks of recommender systems know of such data, each with a knob
- taste: every item belongs to one of a few tastes, every person mixes them (a stochastic block model with mixed
  membership);
- popularity: appeal of items has a heavy tail, whatever the taste;
- time: an item appears at some moment and fades, a person joins at some moment;
- friends are alike: links are drawn by likeness of taste, so they tell of those with a short history;
- an attribute of people (their age group) goes with taste, but is not sure from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core.errors import InputError
from .interactions import Interactions
from .side_graphs import SideGraph, from_triples

TASTES = ("drama", "comedy", "nature", "crime", "music", "history")
AGE_GROUPS = ("younger", "older")
YEAR_S = 365 * 86_400.0


@dataclass(frozen=True, eq=False)
class DemoMarket:
    """interactions: with times in seconds. social: friends. genre: tastes of items, as facts. taste: [user, taste]
    shares. item_taste: [item] index. age_group: [user] names.
    """

    interactions: Interactions
    social: SideGraph
    genre: SideGraph
    taste: np.ndarray
    item_taste: np.ndarray
    age_group: np.ndarray


def make_market(
    rng: np.random.Generator,
    users: int = 300,
    items: int = 200,
    tastes: int = 4,
    events: float = 25.0,
    purity: float = 0.15,
    friends: int = 4,
) -> DemoMarket:
    """A market, a pure function of its arguments.

    tastes: how many, at most `len(TASTES)`. events: mean number of a user, very uneven. purity: concentration of the
    mixtures, small = everybody has one taste. friends: drawn by each user.
    """
    if not 1 <= tastes <= len(TASTES) or min(users, items) < 2:
        raise InputError(
            "a market needs two users and items or more", got=f"{users} users, {items} items, {tastes} tastes",
            expected=f"1 to {len(TASTES)} tastes",
        )  # fmt: skip
    mixture = rng.dirichlet(np.full(tastes, purity), users)
    item_taste = rng.integers(0, tastes, items)
    appeal = rng.lognormal(0.0, 1.0, items)
    released = rng.uniform(-0.5, 0.9, items)  # in years; half a year of stock when the market opens
    user, item, when = _events(rng, mixture, item_taste, appeal, released, events)
    names = _names("user", users), _names("item", items)
    found = Interactions.from_codes(user, item, users=names[0], items=names[1], time=when * YEAR_S)
    facts = [(name, "genre", TASTES[t]) for name, t in zip(names[1].tolist(), item_taste, strict=True)]
    return DemoMarket(
        interactions=found,
        social=_friends(rng, mixture, friends),
        genre=from_triples(facts, names[1], name="genre"),
        taste=mixture,
        item_taste=item_taste,
        age_group=_age_group(rng, mixture),
    )


def _events(
    rng: np.random.Generator,
    mixture: np.ndarray,
    item_taste: np.ndarray,
    appeal: np.ndarray,
    released: np.ndarray,
    events: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """user, item, time in years. A pair drawn again is one that is taken once more."""
    count = np.maximum(3, rng.lognormal(np.log(events) - 0.32, 0.8, len(mixture))).astype(int)
    users, items, times = [], [], []
    for user, n in enumerate(count):
        when = np.sort(rng.uniform(rng.uniform(0.0, 0.5), 1.0, n))
        age = when[:, None] - released
        # new things are taken more: appeal halves in about half a year, and nothing is taken before it appears
        fading = np.where(age > 0, np.exp(-1.5 * age), 0.0)
        weight = (0.02 + mixture[user, item_taste]) * appeal * fading
        edges = np.cumsum(weight, axis=1)
        chosen = (edges < rng.random((n, 1)) * edges[:, -1:]).sum(axis=1)
        users.append(np.full(n, user))
        items.append(np.minimum(chosen, len(appeal) - 1))
        times.append(when)
    return np.concatenate(users), np.concatenate(items), np.concatenate(times)


def _friends(rng: np.random.Generator, mixture: np.ndarray, friends: int) -> SideGraph:
    """Each user draws some by likeness of taste, most of them alike."""
    users = len(mixture)
    likeness = np.exp(4.0 * mixture @ mixture.T)
    np.fill_diagonal(likeness, 0)
    edges = np.cumsum(likeness, axis=1)
    drawn = rng.random((users, friends)) * edges[:, -1:]
    tail = np.stack([np.searchsorted(edge, draw) for edge, draw in zip(edges, drawn, strict=True)])
    head = np.repeat(np.arange(users), friends).astype(np.int32)
    return SideGraph(
        "social", "user", users, users, head, tail.ravel().astype(np.int32), np.zeros(len(head), np.int16), ("social",)
    )


def _age_group(rng: np.random.Generator, mixture: np.ndarray) -> np.ndarray:
    """[user] names: every taste leans to one side."""
    lean = 2.5 * np.where(np.arange(mixture.shape[1]) % 2, 1.0, -1.0)
    older = rng.random(len(mixture)) < 1 / (1 + np.exp(-mixture @ lean))
    return np.array(AGE_GROUPS)[older.astype(int)]


def _names(what: str, n: int) -> np.ndarray:
    """Padded, so that they sort by number."""
    return np.array([f"{what}{at:0{len(str(n - 1))}d}" for at in range(n)])
