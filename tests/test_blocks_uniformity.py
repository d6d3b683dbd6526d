"""Alignment and uniformity: each against a slow reference, and what they ask for."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ids_kit import batch_of, encoder, target_of, told, train
from omnipatch.core.blocks.registry import build
from omnipatch.core.blocks.uniformity import IdAlignment, IdUniformity, uniformity


def slowly(z, t, sphere=True):
    z = z / np.linalg.norm(z, axis=1, keepdims=True) if sphere else z
    pairs = [np.exp(-t * np.square(z[i] - z[j]).sum()) for i in range(len(z)) for j in range(i)]
    return math.log(np.mean(pairs))


class TestUniformity:
    @settings(max_examples=20, deadline=None)
    @given(n=st.integers(2, 9), t=st.floats(0.5, 4.0), seed=st.integers(0, 99), sphere=st.booleans())
    def test_it_is_the_mean_over_all_pairs(self, n, t, seed, sphere):
        z = np.random.default_rng(seed).normal(size=(n, 4))
        assert float(uniformity(torch.tensor(z), t, sphere)) == pytest.approx(slowly(z, t, sphere), abs=1e-4)

    def test_small_vectors_are_turned_hard_on_the_sphere_and_gently_off_it(self):
        start = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
        push = {}
        for sphere in (True, False):
            for size in (1.0, 0.01):
                z = (start * size).requires_grad_()
                uniformity(z, sphere=sphere).backward()
                push[sphere, size] = float(z.grad.norm())
        assert push[True, 0.01] == pytest.approx(100 * push[True, 1.0], rel=1e-3)
        assert push[False, 0.01] < 0.1 * push[False, 1.0]

    def test_it_ends_at_all_alike_and_at_opposite(self):
        z = torch.tensor([[1.0, 0.0], [-2.0, 0.0]])
        assert float(uniformity(z[:1].expand(3, -1))) == pytest.approx(0.0, abs=1e-6)
        assert float(uniformity(z)) == pytest.approx(-8.0)

    @pytest.mark.parametrize("n", [0, 1, 2])
    def test_few_or_equal_vectors_have_finite_gradients(self, n):
        z = torch.ones(n, 3, requires_grad=True)
        uniformity(z).backward()
        assert torch.isfinite(z.grad).all()

    def test_a_part_of_the_rows_estimates_all_of_them(self):
        z = torch.randn(200, 5, generator=torch.Generator().manual_seed(0))
        whole, part = (build("regularizer", {"name": "uniformity", "most": most}, 5) for most in (200, 40))
        assert float(whole(z)) == pytest.approx(float(uniformity(z)))
        torch.manual_seed(0)
        drawn = [float(part(z)) for _ in range(60)]
        assert np.std(drawn) > 0
        assert np.mean(drawn) == pytest.approx(float(whole(z)), abs=0.02)

    @pytest.mark.parametrize("options", [{"t": 0.0}, {"most": 1}])
    def test_options_are_checked(self, options):
        with pytest.raises(ValueError, match=next(iter(options))):
            build("regularizer", {"name": "uniformity", **options}, 5)


class TestIds:
    def test_alignment_is_the_squared_distance_of_directions(self):
        model, z = encoder(), torch.randn(2, 8)
        values, weights = IdAlignment(model)(z, target_of([3, 4], [5, -1]), torch.zeros(2))
        table = torch.nn.functional.normalize(model.id_table().detach(), dim=1)
        unit = torch.nn.functional.normalize(z, dim=1)
        far = [(unit[row] - table[i]).square().sum() for row, i in ((0, 3), (0, 4), (1, 5))]
        torch.testing.assert_close(values.detach(), torch.stack([(far[0] + far[1]) / 2, far[2]]), atol=1e-5, rtol=0)
        assert weights.tolist() == pytest.approx([2**0.5, 1.0])

    def test_each_id_is_spread_once(self):
        model = encoder()
        loss = IdUniformity(model)
        many, _ = loss(torch.zeros(3, 8), target_of([1, 2], [2, 3], [2, -1]), torch.zeros(3))
        assert float(many.detach()) == pytest.approx(
            slowly(model.id_table()[[1, 2, 3]].detach().numpy(), 2.0), abs=1e-5
        )

    def test_rows_that_ask_for_nothing_are_finite(self):
        value, weight = IdUniformity(encoder())(torch.zeros(1, 8), target_of([-1, -1]), torch.zeros(1))
        assert value.tolist() == [0.0]
        assert torch.isfinite(weight).all()


def test_directau_learns_which_ids_go_together_without_negatives():
    rng = np.random.default_rng(0)
    rows = [[int(i) for i in rng.permutation(10)[:7] + 10 * (n % 3)] for n in range(60)]
    batch, objective = batch_of(*rows), told({"name": "directau-ids"})
    train(objective, batch, 80)
    scores = objective.encoder(batch).pooled @ torch.nn.functional.normalize(objective.encoder.id_table(), dim=1).T
    own = scores.view(60, 3, 10).mean(dim=2)
    assert (own.argmax(dim=1) == torch.arange(60) % 3).float().mean() > 0.9


def test_without_spreading_everything_falls_on_one_point():
    """What uniformity is for: the same objective without it collapses."""
    rng = np.random.default_rng(0)
    batch = batch_of(*([int(i) for i in rng.permutation(10)[:7] + 10 * (n % 3)] for n in range(60)))
    spread, bare = (
        told({"name": "directau-ids"}),
        told({"name": "directau-ids", "terms": {"spread": None}, "regularizers": {"rows": None}}),
    )
    for objective in (spread, bare):
        train(objective, batch, 80)
    apart = [float(uniformity(o.encoder(batch).pooled.detach())) for o in (spread, bare)]
    assert apart[0] < apart[1] - 0.5
