"""Masks of ids: neighbourhoods hidden together, centres by low agreement, and the end that is always hidden."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ids_kit import IDS, batch_of, known, told
from omnipatch import InputError
from omnipatch.core.batching import pad
from omnipatch.core.blocks.registry import build
from omnipatch.core.known import KnownIds
from omnipatch.core.rng import RowRandom
from omnipatch.core.sequence import PatchSequence
from scipy import sparse
from scipy.stats import chisquare

AMONG = ["own", "all"]


def sampler(knows: KnownIds | None = None, **options):
    mask = build("mask", {"name": "id_neighbourhood", **options})
    mask.tell(known() if knows is None else knows)
    return mask


def hidden(mask, batch, step=0):
    """[row, patch] bool."""
    view = mask(batch, RowRandom(0, step, batch.window))
    flags = torch.zeros(batch.valid.shape, dtype=torch.long)
    return flags.scatter_add(1, view.targets.index, view.targets.valid.long()).bool()


def mixed(rows: int) -> PatchSequence:
    """Rows of five ids of each side."""
    rng = np.random.default_rng(0)
    return batch_of(
        *([*rng.permutation(15)[:5].tolist(), *(15 + rng.permutation(15)[:5]).tolist()] for _ in range(rows))
    )


class TestNeighbourhood:
    @pytest.mark.parametrize("among", AMONG)
    @settings(max_examples=20, deadline=None)
    @given(
        lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5),
        ratio=st.floats(0.1, 0.9),
        centres=st.integers(1, 12),
    )
    def test_every_row_is_split_exactly(self, among, lengths, ratio, centres):
        batch = batch_of(*(list(range(n)) for n in lengths))
        found = hidden(sampler(ratio=ratio, among=among, centres=centres), batch).sum(dim=1)
        wanted = [min(max(1, int(ratio * n + 0.5)), n - 1) for n in lengths]
        assert found.tolist() == wanted

    @pytest.mark.parametrize("among", AMONG)
    def test_what_lies_together_is_hidden_together(self, among):
        batch = mixed(60)
        side = batch.ids[..., 0] < 15
        flags = hidden(sampler(ratio=0.4, among=among), batch)
        low = (flags & side).sum(dim=1)
        assert ((low == 0) | (low == 4)).float().mean() > 0.95  # 4 of 10, of one side of 5
        if among == "all":
            assert len(low.unique()) == 1  # the same region, from everybody

    def test_several_centres_hide_several_regions(self):
        batch = mixed(60)
        low = (hidden(sampler(ratio=0.4, centres=6), batch) & (batch.ids[..., 0] < 15)).sum(dim=1)
        assert ((low > 0) & (low < 4)).float().mean() > 0.5

    def test_without_agreement_every_place_is_hidden_as_often(self):
        batch = batch_of(*([3, 19, 7, 25, 11, 28] for _ in range(1500)))
        nothing = KnownIds([np.random.default_rng(3).normal(size=(IDS, 3)).astype(np.float32)])
        flags = hidden(sampler(nothing, ratio=0.01), batch)  # one of each row: the centre
        assert chisquare(flags.sum(dim=0).numpy()).pvalue > 1e-3

    def test_centres_agree_little_with_their_surroundings(self):
        """Id 0 lies on one side and occurs with the other."""
        base = known()
        taken = base.taken.tolil()
        taken[:20, 0], taken[20:, 0] = 0, 1
        batch = batch_of(*([0, 1, 2, 3, 4] for _ in range(800)))
        strange = hidden(sampler(KnownIds(base.numbers, sparse.csr_matrix(taken)), ratio=0.01), batch)[:, 0]
        assert strange.float().mean() > 0.6  # a fifth by chance
        alike = hidden(sampler(KnownIds(base.numbers, sparse.csr_matrix(taken)), ratio=0.01, temperature=1e6), batch)
        assert alike[:, 0].float().mean() == pytest.approx(0.2, abs=0.05)

    @settings(max_examples=15, deadline=None)
    @given(extra=st.integers(0, 4), among=st.sampled_from(AMONG), first=st.integers(0, 2))
    def test_padding_and_company_change_nothing(self, extra, among, first):
        batch, mask = batch_of([1, 17, 3, 4], [20, 2, 22, 5], [9, 8, 27, 6]), sampler(ratio=0.5, among=among)
        whole = hidden(mask, batch)
        assert torch.equal(hidden(mask, pad(batch, 4 + extra))[:, :4], whole)
        assert torch.equal(hidden(mask, batch.rows([first])), whole[[first]])

    def test_ids_of_which_nothing_is_known_can_be_centres(self):
        blank = KnownIds([np.zeros((IDS, 3), np.float32)])
        flags = hidden(sampler(blank, ratio=0.01), batch_of(*([1, 2, 3, 4] for _ in range(400))))
        assert (flags.sum(dim=1) == 1).all()
        assert (flags.sum(dim=0) > 50).all()

    def test_without_knowledge_it_says_so(self):
        with pytest.raises(InputError, match="where ids lie"):
            hidden(build("mask", "id_neighbourhood"), batch_of([1, 2, 3]))

    @pytest.mark.parametrize("options", [{"centres": 0}, {"among": "none"}, {"temperature": 0.0}])
    def test_options_are_checked(self, options):
        with pytest.raises(InputError, match="cannot be built"):
            build("mask", {"name": "id_neighbourhood", **options})


class TestEnd:
    @settings(max_examples=20, deadline=None)
    @given(
        lengths=st.lists(st.integers(2, 9), min_size=1, max_size=5), ratio=st.floats(0.05, 0.9), step=st.integers(0, 9)
    )
    def test_the_newest_is_always_hidden(self, lengths, ratio, step):
        batch = batch_of(*(list(range(n)) for n in lengths))
        mask = build("mask", {"name": "random_end", "ratio": ratio, "end": "low"})
        order = torch.randperm(batch.n_patches).expand(len(batch), -1)
        for made in (batch, batch.patches(order)):  # it is found by its place, not by where it stands
            flags = hidden(mask, made, step)
            assert flags[(made.coords[..., 0] == 0) & made.valid].all()
            assert flags.sum(dim=1).tolist() == [min(max(1, int(ratio * n + 0.5)), n - 1) for n in lengths]

    def test_the_other_end(self):
        flags = hidden(build("mask", {"name": "random_end", "ratio": 0.01, "end": "high"}), batch_of([1, 2, 3], [4, 5]))
        assert flags.tolist() == [[True, False, False], [True, False, False]]

    def test_other_places_are_hidden_as_often_as_each_other(self):
        flags = hidden(build("mask", {"name": "random_end", "ratio": 0.5, "end": "low"}), batch_of(*([1] * 8,) * 2000))
        assert chisquare(flags.sum(dim=0)[:-1].numpy()).pvalue > 1e-3

    def test_a_set_has_no_end_and_hides_any(self):
        batch = batch_of(*([1, 2, 3, 4],) * 800)
        flags = hidden(build("mask", {"name": "random_end", "ratio": 0.01}), batch.replace(coords=batch.coords * 0))
        assert chisquare(flags.sum(dim=0).numpy()).pvalue > 1e-3

    def test_options_are_checked(self):
        with pytest.raises(InputError, match="low or high"):
            build("mask", {"name": "random_end", "end": "left"})
        with pytest.raises(InputError, match="steps_back"):
            hidden(build("mask", {"name": "random_end", "axis": "steps_bak"}), batch_of([1, 2]))


def test_the_objective_tells_its_masks():
    outcome = told({"name": "autocf-ids"})(batch_of([1, 2, 3, 17], [18, 19, 4]), 0, 0)
    outcome.loss.backward()
    assert torch.isfinite(outcome.loss)
