"""Encoding with direct-sum codebooks: which centre of each codebook, so that their sum comes nearest.

With the products of all centres G = C C' and of the input with them P = X C', the squared error of any choice is

    |x|^2 - 2 sum_n P[x, c_n] + sum_nm G[c_n, c_m],

so that every step below is a sum of table rows, free of the dimension of x. Two searches (Babenko & Lempitsky 2014,
doi:10.1109/CVPR.2014.124, for the beam; Besag 1986 for the descent, as iterated conditional modes):

- `beam`: codebooks one after the other, the best few partial sums are kept; codebooks are centred first, so that each
  of those to come counts with its mean;
- `refine`: codebooks one after the other again, each chosen anew given the codes of all others, with as many states
  kept as there are; with one state this is coordinate descent. The best state's error never rises.

The sum of table rows is `embedding_bag`, whose kernel adds rows without ever storing them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Tables:
    """What a search looks up.

    centred: [all centres, dim] without the mean of their codebook. offset: [dim] sum of these means.
    blocks: for each codebook, [all centres, entry] twice the products of all centres with its own.
    norms: [codebook, entry] squared lengths. order: codebooks by falling energy, the order of the beam.
    """

    centred: Tensor
    offset: Tensor
    blocks: tuple[Tensor, ...]
    norms: Tensor
    order: tuple[int, ...]

    @classmethod
    def of(cls, centres: Tensor) -> Tables:
        """centres: [codebook, entry, dim]."""
        books, entries, _ = centres.shape
        means = centres.detach().float().mean(dim=1, keepdim=True)
        apart = centres.detach().float() - means
        flat = apart.flatten(0, 1)
        gram = flat @ flat.T
        spread = apart.square().mean(dim=1).sum(dim=1)
        return cls(
            flat,
            means.sum(dim=(0, 1)),
            tuple(2.0 * gram[:, n * entries : (n + 1) * entries] for n in range(books)),
            gram.diagonal().reshape(books, entries).clone(),
            tuple(spread.argsort(descending=True, stable=True).tolist()),
        )

    def products(self, x: Tensor) -> Tensor:
        """[frame, dim] -> [frame, codebook, entry] products with all centres, both centred."""
        return ((x - self.offset) @ self.centred.T).view(len(x), *self.norms.shape)


@dataclass(frozen=True)
class States:
    """codes: [frame, state, codebook] row of each chosen centre among all centres. energy: [frame, state] squared
    error without |x|^2, best first."""

    codes: Tensor
    energy: Tensor


def beam(products: Tensor, tables: Tables, width: int) -> States:
    """products: [frame, codebook, entry] of the input with all centres. width: states kept."""
    frames, books, entries = products.shape
    energy = products.new_zeros(frames, 1)
    codes = torch.zeros(frames, 1, books, dtype=torch.long, device=products.device)
    for step, book in enumerate(tables.order):
        chosen = codes[:, :, list(tables.order[:step])]
        cost = _cost(products, tables, chosen, book).add_(energy.unsqueeze(-1))
        codes, energy = _extended(codes, cost, book, min(width, cost.shape[1] * entries))
    return States(codes, energy)


def refine(products: Tensor, tables: Tables, states: States, sweeps: int) -> States:
    """Choose every codebook anew given all others, `sweeps` times at most, of each frame until its best state stays."""
    codes, energy = states.codes.clone(), states.energy.clone()
    moving = torch.arange(len(codes), device=codes.device)
    for _ in range(sweeps):
        before = codes[moving]
        found = _sweep(products[moving], tables, States(before, energy[moving]))
        codes[moving], energy[moving] = found.codes, found.energy
        moving = moving[(found.codes[:, 0] != before[:, 0]).any(dim=1)]
        if not len(moving):
            break
    return States(codes, energy)


def _sweep(products: Tensor, tables: Tables, states: States) -> States:
    books, entries = products.shape[1:]
    codes, energy = states.codes, states.energy
    for book in tables.order:
        rest = codes[:, :, [n for n in range(books) if n != book]]
        own = codes[:, :, book] - book * entries
        cost = _cost(products, tables, rest, book)
        base = energy - cost.gather(2, own.unsqueeze(-1)).squeeze(-1)
        cost.add_(base.masked_fill(_repeated(rest), torch.inf).unsqueeze(-1))
        codes, energy = _extended(codes, cost, book, codes.shape[1])
    return States(codes, energy)


def _extended(codes: Tensor, cost: Tensor, book: int, width: int) -> tuple[Tensor, Tensor]:
    """The best `width` states after a choice in one codebook, which costs [frame, state, entry]: codes and energy."""
    energy, parent, entry = _least(cost, width)
    codes = codes.gather(1, parent.unsqueeze(-1).expand(-1, -1, codes.shape[2]))
    codes[:, :, book] = entry + book * cost.shape[2]
    return codes, energy


def _cost(products: Tensor, tables: Tables, chosen: Tensor, book: int) -> Tensor:
    """[frame, state, entry], new: what each entry of a codebook adds to the energy beside the chosen rows."""
    frames, width, count = chosen.shape
    own = (tables.norms[book] - 2.0 * products[:, book]).unsqueeze(1)
    if not count:
        return own.repeat(1, width, 1)
    cross = F.embedding_bag(chosen.reshape(-1, count), tables.blocks[book], mode="sum")
    return cross.view(frames, width, len(tables.norms[book])).add_(own)


def _least(cost: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The least of [frame, state, entry]: values [frame, count] in rising order, their states and their entries.

    They are all among the `count` entries with the least minima over states, which are far fewer to sort.
    """
    states, entries = cost.shape[1:]
    columns = _smallest(cost.amin(dim=1), min(count, entries))
    among = cost.gather(2, columns.unsqueeze(1).expand(-1, states, -1)).flatten(1)
    best = _smallest(among, count)
    width = columns.shape[1]
    return among.gather(1, best), torch.div(best, width, rounding_mode="floor"), columns.gather(1, best % width)


def _smallest(values: Tensor, count: int) -> Tensor:
    """[row, count] where the least values of [row, value] are, in rising order; a row's least must be finite.

    As `topk`, which on a processor takes six times as long as NumPy's vectorised partition. That moves keys alone, so
    each carries its place: bits of a float that is not negative have the order of the float.
    """
    if values.device.type != "cpu":
        return values.topk(count, dim=1, largest=False).indices
    above = values - values.amin(dim=1, keepdim=True)
    keys = (above.view(torch.int32).long() << 32) | torch.arange(values.shape[1])
    least = np.partition(keys.numpy(), count - 1, axis=1)[:, :count]
    return torch.from_numpy(np.sort(least, axis=1)) & 0xFFFFFFFF


def _repeated(rest: Tensor) -> Tensor:
    """[frame, state] bool: an earlier state has the same codes [frame, state, codebook], so the same successors."""
    width = rest.shape[1]
    if width == 1:
        return torch.zeros(rest.shape[:2], dtype=torch.bool, device=rest.device)
    # by one number each, odd and far beyond the number of centres: two states in 2^64 are taken for the same
    weights = torch.arange(1, rest.shape[2] + 1, device=rest.device).mul_(-7046029254386353131).bitwise_or_(1)
    key = (rest * weights).sum(dim=2)
    same = key.unsqueeze(1) == key.unsqueeze(2)
    earlier = torch.ones(width, width, dtype=torch.bool, device=rest.device).tril(-1)
    return (same & earlier).any(dim=2)
