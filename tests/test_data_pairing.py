"""Pairs of windows: the partner is near, of the same record, and the same one whoever asks and whenever."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from blocks_kit import batch, objective
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.batching import collate
from omnipatch.core.blocks.registry import build
from omnipatch.core.blocks.targets import Target
from omnipatch.core.blocks.views import pair_within_s
from omnipatch.core.compose import resolve_objective
from omnipatch.core.data.loader import StepLoader
from omnipatch.core.data.pairing import NearWindows
from omnipatch.core.errors import InputError
from train_kit import FakeStore, assert_bit_equal, recipe, train, weights

PAIRED = {"name": "simclr", "views": {"b": {"pair": {"within_s": 8.0}}}}


def store(records, stride_s=5.0):
    """A store's index of so many windows a record; a batch is the list of its windows."""
    counts = np.asarray(records)
    start = np.concatenate([np.arange(n) * stride_s for n in counts])
    return SimpleNamespace(
        start_s=start, record_code=np.repeat(np.arange(len(counts)), counts), lengths=np.ones(len(start), np.int64)
    )


corpora = st.lists(st.integers(1, 9), min_size=1, max_size=8)


@settings(deadline=None, max_examples=100)
@given(corpora, st.floats(1.0, 40.0), st.integers(0, 2**32 - 1))
def test_a_partner_is_another_near_window_of_the_record_where_there_is_one(records, within_s, seed):
    corpus, rng = store(records), np.random.default_rng(seed)
    windows = rng.permutation(len(corpus.lengths))[: rng.integers(1, len(corpus.lengths) + 1)]
    positions = rng.integers(0, len(windows), 50)
    own = windows[positions]
    found = NearWindows(corpus, windows, within_s).partners(positions, rng.random(50))
    assert set(found) <= set(windows)
    assert (corpus.record_code[found] == corpus.record_code[own]).all()
    assert (np.abs(corpus.start_s[found] - corpus.start_s[own]) <= within_s + 1e-6).all()
    for mine, other in zip(own, found, strict=True):
        near = (corpus.record_code[windows] == corpus.record_code[mine]) & (
            np.abs(corpus.start_s[windows] - corpus.start_s[mine]) <= within_s
        )
        assert (other == mine) == (near.sum() == 1)


def test_all_near_windows_are_drawn_alike():
    corpus = store([20])
    near = NearWindows(corpus, np.arange(20), 10.0)
    found = near.partners(np.full(40000, 7), np.random.default_rng(0).random(40000))
    numbers, counts = np.unique(found, return_counts=True)
    assert numbers.tolist() == [5, 6, 8, 9]
    assert counts.min() > 9700


def test_a_distance_that_is_none_is_refused():
    with pytest.raises(InputError, match=r"within_s"):
        NearWindows(store([3]), np.arange(3), 0.0)


def take(loader, steps):
    return [(loader.indices(i).tolist(), loader.partners(i).tolist()) for i in steps]


def test_steps_are_a_pure_function_of_seed_and_step_on_any_number_of_ranks():
    corpus, windows = store([7, 9, 1, 12]), np.arange(29)
    options = {"batch_size": 8, "seed": 3, "prefetch": 0}
    whole = take(StepLoader(corpus, windows, **options, pair_within_s=8.0), range(9))
    assert take(StepLoader(corpus, windows, **options, pair_within_s=8.0), range(8, -1, -1)) == whole[::-1]
    parts = [
        take(StepLoader(corpus, windows, **options, rank=r, world_size=2, pair_within_s=8.0), range(9))
        for r in range(2)
    ]
    for step, (own, partner) in enumerate(whole):
        assert own == [*parts[0][step][0], *parts[1][step][0]]
        assert partner == [*parts[0][step][1], *parts[1][step][1]]
    plain = StepLoader(corpus, windows, **options)
    assert [plain.indices(i).tolist() for i in range(9)] == [own for own, _ in whole]
    assert plain.partners(0) is None


def test_partners_of_a_window_change_from_epoch_to_epoch():
    corpus = store([10] * 4)
    loader = StepLoader(corpus, np.arange(40), 40, 0, prefetch=0, pair_within_s=20.0)
    partners = [dict(zip(*step, strict=True)) for step in take(loader, range(6))]
    assert len({step[5] for step in partners}) > 1


def paired_store():
    """The tiny corpus, its records read as 5 s windows one after the other."""
    made: Any = FakeStore()
    made.start_s = (np.arange(len(made)) // 5) * 5.0  # five records take turns
    return made


def test_training_on_pairs_resumes_to_the_bit(tmp_path):
    class Crash(Exception):
        pass

    def crash(step, total, metrics):
        if step == 5:
            raise Crash

    made = recipe(PAIRED, max_steps=8)
    train(tmp_path / "a", made, store=paired_store())
    with pytest.raises(Crash):
        train(tmp_path / "b", made, store=paired_store(), on_progress=crash)
    train(tmp_path / "b", made, store=paired_store(), resume=True)
    assert_bit_equal(weights(tmp_path / "a"), weights(tmp_path / "b"))


def test_a_run_with_pairs_is_another_run(tmp_path):
    train(tmp_path / "plain", recipe("simclr", max_steps=3), store=paired_store())
    train(tmp_path / "pairs", recipe(PAIRED, max_steps=3), store=paired_store())
    plain, pairs = weights(tmp_path / "plain"), weights(tmp_path / "pairs")
    assert any(not torch.equal(plain[name], pairs[name]) for name in plain)


# ---- views and compositions ---------------------------------------------------------------------------------------


def test_the_view_of_a_pair_is_the_partner_augmented_by_the_draws_of_the_row():
    made, other = batch(6, 12), batch(6, 12, seed=1)
    built = objective(PAIRED)
    assert pair_within_s(built.views) == 8.0
    assert pair_within_s(objective("simclr").views) is None
    made_apart = made.replace(partner=other)
    with torch.no_grad():
        apart, alone, own = (float(built(each, 0, 0).loss) for each in (made_apart, made, made.replace(partner=made)))
        plain = float(objective("simclr")(made, 0, 0).loss)
    assert apart != alone
    # without a partner a window is its own
    assert alone == own == plain


def test_partners_go_where_their_rows_go():
    made = batch(4, 6).replace(partner=batch(4, 6, seed=1))
    assert torch.equal(made.rows([2, 0]).partner.values, made.partner.values[[2, 0]])
    assert made.to("cpu").partner is not None
    joined = collate([made.rows([0]), made.rows([1, 2])])
    assert torch.equal(joined.partner.values, made.partner.values[:3])
    assert collate([made, batch(4, 6)]).partner is None


@pytest.mark.parametrize(
    ("views", "said"),
    [
        ({"b": {"pair": {"within": 8}}}, r"objective\.views\.b\.pair\.within.*within_s"),
        ({"b": {"pair": {"within_s": -1}}}, "positive number of seconds"),
        ({"b": {"pair": 8}}, "wrong form"),
        ({"a": {"pair": {"within_s": 4}}, "b": {"pair": {"within_s": 8}}}, "different distances"),
    ],
)
def test_a_wrong_pair_is_one_sentence(views, said):
    with pytest.raises(InputError, match=said):
        resolve_objective({"name": "simclr", "views": views})


def test_patches_of_two_windows_are_not_compared_one_by_one():
    other = {"views": {"other": {"pair": {"within_s": 8}}}, "terms": {"latent": {"view": "other"}}}
    with pytest.raises(InputError, match="patches of a window with those of its partner"):
        resolve_objective({"name": "jepa", **other})


# ---- negatives of the same subject --------------------------------------------------------------------------------


def nt_xent(subject, **options):
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(5, 4, generator=generator), torch.randn(5, 4, generator=generator)
    loss = build("loss", {"name": "nt_xent", "temperature": 0.5, **options})
    return loss(a, Target(b, torch.ones(5, dtype=torch.bool)), torch.tensor(subject))


def test_only_windows_of_the_same_subject_are_negatives():
    """With the windows of one subject alone in the batch it is the plain loss of that subject's rows."""
    values, weights = nt_xent([0, 0, 0, 1, -1], only_same_subject=True)
    assert weights.tolist() == [1, 1, 1, 0, 0] * 2
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(5, 4, generator=generator)[:3], torch.randn(5, 4, generator=generator)[:3]
    loss = build("loss", {"name": "nt_xent", "temperature": 0.5})
    alone, _ = loss(a, Target(b, torch.ones(3, dtype=torch.bool)), torch.zeros(3, dtype=torch.long))
    torch.testing.assert_close(values[[0, 1, 2, 5, 6, 7]], alone)


def test_negatives_are_not_both_all_and_none():
    with pytest.raises(InputError, match="no negatives"):
        build("loss", {"name": "nt_xent", "only_same_subject": True, "exclude_same_subject": True})


def test_every_step_of_an_epoch_has_its_partner_read():
    made = paired_store()
    stream = iter(StepLoader(made, np.arange(40), 10, 0, pair_within_s=8.0))
    for read in itertools.islice(stream, 5):
        assert torch.equal(read.partner.record, read.record)
        assert not torch.equal(read.partner.window, read.window)
    stream.close()
