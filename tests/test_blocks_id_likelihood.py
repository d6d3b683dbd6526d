"""Cross-entropy over all ids: equal to the plain way, in values and gradients, and in bf16 close to it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from omnipatch.core.blocks import id_likelihood as module
from omnipatch.core.blocks.id_likelihood import id_likelihood


def _case(seed, rows, ids, width, pairs, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(rows, width, generator=generator, dtype=dtype).requires_grad_()
    table = torch.randn(ids, width, generator=generator, dtype=dtype).requires_grad_()
    flat = torch.randperm(rows * ids, generator=generator)
    asked, out = flat[:pairs], flat[pairs : 2 * pairs]
    return vectors, table, asked // ids, asked % ids, out // ids, out % ids


def _plain(vectors, table, row, ids, out_row, out_ids):
    scores = vectors @ table.T
    gone = torch.zeros(scores.shape, dtype=torch.bool)
    gone[out_row, out_ids] = True
    return scores.masked_fill(gone, -1e30).logsumexp(dim=1)[row] - scores[row, ids]


def _gradients(loss, case):
    weight = torch.linspace(0.5, 2.0, len(case[2]), dtype=case[0].dtype)
    values = loss(*case)
    return values.detach(), *torch.autograd.grad((values * weight).sum(), case[:2])


@given(st.integers(0, 99), st.integers(1, 7), st.integers(2, 11), st.integers(1, 4))
def test_it_is_the_plain_cross_entropy(seed, rows, ids, width):
    case = _case(seed, rows, ids, width, pairs=rows * ids // 2)
    for found, expected in zip(_gradients(id_likelihood, case), _gradients(_plain, case), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5, check_dtype=False)  # exponents are float32


def test_rows_are_taken_in_chunks(monkeypatch):
    case = _case(0, 11, 13, 4, 40)
    whole = _gradients(id_likelihood, case)
    monkeypatch.setattr(module, "_CHUNK", 3)
    for found, expected in zip(_gradients(id_likelihood, case), whole, strict=True):
        torch.testing.assert_close(found, expected)


def test_autocast_makes_the_products_cheap():
    case = _case(0, 40, 200, 16, 300, torch.float32)
    exact = _gradients(id_likelihood, case)
    with torch.autocast("cpu", torch.bfloat16):
        found = _gradients(id_likelihood, case)
    assert not torch.equal(found[0], exact[0])
    for a, b in zip(found, exact, strict=True):
        assert (a - b).norm() < 0.02 * b.norm()


def test_nothing_may_be_left_out():
    case = _case(0, 5, 9, 3, 10)[:4]
    nothing = torch.zeros(0, dtype=torch.long)
    found, expected = id_likelihood(*case), _plain(*case, nothing, nothing)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5, check_dtype=False)


@pytest.mark.parametrize("large", [1e3, -1e3])
def test_large_scores_do_not_overflow(large):
    vectors, table = torch.full((2, 1), large), torch.tensor([[1.0], [2.0], [-1.0]])
    values = id_likelihood(vectors, table, torch.tensor([0, 1]), torch.tensor([0, 2]))
    assert values.isfinite().all()
