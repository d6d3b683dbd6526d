"""Losses and regularisers against slow references written with loops, and the mathematical claims they rest on."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from omnipatch.core.blocks.registry import build
from omnipatch.core.blocks.targets import Target
from omnipatch.core.errors import InputError
from omnipatch.core.objective import reduce
from scipy.integrate import quad

UNKNOWN = torch.full((64,), -1)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def value(name, prediction, goal, valid=None, subject=None, **options) -> float:
    loss = build("loss", {"name": name, **options})
    valid = torch.ones(goal.shape[:-1], dtype=torch.bool) if valid is None else valid
    subject = UNKNOWN[: len(goal)] if subject is None else subject
    items, weights = loss(prediction, Target(goal, valid), subject)
    return float(reduce(items, weights, gathered=loss.gathered))


# ---- item by item -------------------------------------------------------------------------------------------------

ERRORS = {
    "l2": lambda e: e * e,
    "l1": abs,
    "smooth_l1": lambda e: 0.5 * e * e if abs(e) < 1 else abs(e) - 0.5,
}


@pytest.mark.parametrize("name", ERRORS)
def test_elementwise_losses_skip_what_was_not_measured(name):
    prediction, goal = normal(3, 4, 5), 2 * normal(3, 4, 5, seed=1)
    goal[0, 1, 2:] = float("nan")
    goal[1, 0] = float("nan")  # a patch without any known number does not count
    valid = torch.ones(3, 4, dtype=torch.bool)
    valid[2, 1:] = False
    items = []
    for i in range(3):
        for j in range(4):
            errors = [
                ERRORS[name](float(p) - float(g))
                for p, g in zip(prediction[i, j], goal[i, j], strict=True)
                if valid[i, j] and not math.isnan(float(g))
            ]
            if errors:
                items.append(sum(errors) / len(errors))
    assert len(items) == 8
    assert value(name, prediction, goal, valid) == pytest.approx(sum(items) / len(items), abs=1e-5)


@pytest.mark.parametrize("beta", [1.0, 2.0, 3.0])
def test_scaled_cosine_is_the_slow_formula_over_known_numbers(beta):
    prediction, goal = normal(3, 4, 5), 2 * normal(3, 4, 5, seed=1)
    goal[0, 1, 2:] = float("nan")
    goal[1, 0] = float("nan")
    valid = torch.ones(3, 4, dtype=torch.bool)
    valid[2, 1:] = False
    items = []
    for i in range(3):
        for j in range(4):
            pairs = [(float(p), float(g)) for p, g in zip(prediction[i, j], goal[i, j], strict=True) if g == g]
            if pairs and valid[i, j]:
                lengths = math.hypot(*(p for p, _ in pairs)) * math.hypot(*(g for _, g in pairs))
                items.append((1.0 - sum(p * g for p, g in pairs) / lengths) ** beta)
    assert len(items) == 8
    assert value("scaled_cosine", prediction, goal, valid, beta=beta) == pytest.approx(sum(items) / 8, abs=1e-5)


def test_scaled_cosine_weighs_easy_items_down_and_stays_finite_at_the_goal():
    goal = normal(6, 3, 4)
    far, near = (value("scaled_cosine", goal + spread * normal(6, 3, 4, seed=2), goal) for spread in (2.0, 0.2))
    plain = [value("scaled_cosine", goal + s * normal(6, 3, 4, seed=2), goal, beta=1.0) for s in (2.0, 0.2)]
    assert near / far < 0.2 * plain[1] / plain[0]
    for start in (goal.clone(), torch.zeros_like(goal)):  # the goal itself, and no direction at all
        guess = start.requires_grad_()
        items, _ = build("loss", {"name": "scaled_cosine"})(guess, Target(goal, torch.ones(6, 3).bool()), UNKNOWN)
        items.sum().backward()
        assert bool(torch.isfinite(guess.grad).all())
        assert float(items.detach().min()) >= 0.0
    with pytest.raises(InputError, match="beta must be at least 1"):
        build("loss", {"name": "scaled_cosine", "beta": 0.5})


def test_smooth_l1_beta_sets_the_quadratic_part():
    assert value("smooth_l1", torch.zeros(1, 1), torch.tensor([[1.5]]), beta=2.0) == pytest.approx(1.5**2 / 4)
    assert value("smooth_l1", torch.zeros(1, 1), torch.tensor([[3.0]]), beta=2.0) == pytest.approx(3 - 1)


def test_cosine_is_two_minus_two_cosines():
    a, b = normal(5, 7), normal(5, 7, seed=1)
    slow = [2 - 2 * float(x @ y) / math.sqrt(float(x @ x) * float(y @ y)) for x, y in zip(a, b, strict=True)]
    assert value("cosine", a, b) == pytest.approx(sum(slow) / 5, abs=1e-5)
    assert value("cosine", 3 * b, b) == pytest.approx(0.0, abs=1e-6)


def test_soft_cross_entropy_is_dinos():
    scores, goal = normal(4, 6), normal(4, 6, seed=1).softmax(-1)
    total = 0.0
    for s, g in zip(scores.tolist(), goal.tolist(), strict=True):
        exps = [math.exp(x / 0.1) for x in s]
        total -= sum(p * math.log(e / sum(exps)) for p, e in zip(g, exps, strict=True))
    assert value("soft_cross_entropy", scores, goal, temperature=0.1) == pytest.approx(total / 4, rel=1e-5)


@pytest.mark.parametrize("name", [*ERRORS, "cosine", "soft_cross_entropy", "nt_xent", "barlow"])
def test_nan_under_invalid_rows_has_no_effect_on_value_or_gradient(name):
    goal = normal(6, 5, seed=1).softmax(-1)
    results = []
    for dirty in (False, True):
        x = normal(6, 5).requires_grad_()
        cut, valid = goal.clone(), torch.tensor([True] * 4 + [False] * 2)
        if dirty:
            cut[4:] = float("nan")
            loss = build("loss", name)
            items, weights = loss(x, Target(cut, valid), UNKNOWN[:6])
        else:
            loss = build("loss", name)
            items, weights = loss(x[:4], Target(cut[:4], valid[:4]), UNKNOWN[:4])
        total = reduce(items, weights, gathered=loss.gathered)
        total.backward()
        assert x.grad is not None
        results.append((total.detach(), x.grad))
    torch.testing.assert_close(results[1][0], results[0][0])
    torch.testing.assert_close(results[1][1], results[0][1])


# ---- over the batch -----------------------------------------------------------------------------------------------


def slow_nt_xent(a, b, temperature, subject=None):
    z = [v / v.norm() for v in torch.cat([a, b]).double()]
    n, who, total = len(a), None if subject is None else [*subject.tolist()] * 2, 0.0
    for i in range(2 * n):
        partner = (i + n) % (2 * n)
        terms = []
        for j in range(2 * n):
            same = who is not None and who[i] == who[j] and who[i] >= 0
            if j != i and (j == partner or not same):
                terms.append(math.exp(float(z[i] @ z[j]) / temperature))
        total -= float(z[i] @ z[partner]) / temperature - math.log(sum(terms))
    return total / (2 * n)


def test_nt_xent_is_the_loop():
    a, b = normal(7, 5), normal(7, 5, seed=1)
    assert value("nt_xent", a, b, temperature=0.2) == pytest.approx(slow_nt_xent(a, b, 0.2), abs=1e-5)


def test_nt_xent_leaves_out_windows_of_the_same_subject_but_not_unknown_ones():
    a, b = normal(7, 5), normal(7, 5, seed=1)
    subject = torch.tensor([0, 0, 1, 1, 1, -1, -1])
    got = value("nt_xent", a, b, subject=subject, temperature=0.2, exclude_same_subject=True)
    assert got == pytest.approx(slow_nt_xent(a, b, 0.2, subject), abs=1e-5)
    assert got < value("nt_xent", a, b, subject=subject, temperature=0.2)


def test_nt_xent_of_perfect_alignment_on_orthogonal_windows():
    """Positives at cosine 1, negatives at 0: log(1 + (2n - 2) exp(-1 / t))."""
    z = torch.eye(6)
    assert value("nt_xent", z, z, temperature=0.5) == pytest.approx(math.log(1 + 10 * math.exp(-2)), abs=1e-6)
    assert value("nt_xent", z, z, temperature=0.05) == pytest.approx(0.0, abs=1e-6)


def test_nt_xent_of_collapsed_windows_is_the_log_of_the_choices():
    z = torch.ones(6, 4)
    assert value("nt_xent", z, z) == pytest.approx(math.log(11), abs=1e-5)


def slow_barlow(a, b, weight, scale):
    a, b = a.double().numpy(), b.double().numpy()
    a, b = ((z - z.mean(0)) / np.sqrt(z.var(0) + 1e-5) for z in (a, b))
    total = 0.0
    for i in range(a.shape[1]):
        for j in range(b.shape[1]):
            c = float(np.mean(a[:, i] * b[:, j]))
            total += (c - 1) ** 2 if i == j else weight * c**2
    return scale * total


def test_barlow_is_the_loop():
    a, b = normal(9, 4), normal(9, 4, seed=1)
    got = value("barlow", a, b, off_diagonal=0.1, scale=0.5)
    assert got == pytest.approx(slow_barlow(a, b, 0.1, 0.5), abs=1e-5)


def white(n, width, seed=0):
    """[n, width] with mean zero and identity covariance (unbiased), exactly."""
    z = normal(n, width, seed=seed).double()
    q, _ = torch.linalg.qr(z - z.mean(0))
    return (q * math.sqrt(n - 1)).float()


def test_barlow_of_identical_decorrelated_views_is_zero():
    z = white(40, 6)
    assert value("barlow", z, z) == pytest.approx(0.0, abs=1e-6)


# ---- regularisers -------------------------------------------------------------------------------------------------


def regularize(name, z, **options) -> float:
    return float(build("regularizer", {"name": name, **options}, z.shape[1])(z))


def slow_variance_covariance(z, variance, covariance, gamma):
    z = z.double().numpy()
    width = z.shape[1]
    spread = sum(max(0.0, gamma - math.sqrt(z[:, d].var(ddof=1) + 1e-4)) for d in range(width)) / width
    cov = np.cov(z.T)
    off = sum(cov[i, j] ** 2 for i in range(width) for j in range(width) if i != j) / width
    return variance * spread + covariance * off


def test_variance_covariance_is_the_loop():
    z = 0.7 * normal(11, 5)
    got = regularize("variance_covariance", z, variance=2.0, covariance=0.3)
    assert got == pytest.approx(slow_variance_covariance(z, 2.0, 0.3, 1.0), abs=1e-5)


def test_variance_covariance_of_whitened_data_is_zero_and_of_a_point_is_one():
    assert regularize("variance_covariance", white(50, 8)) == pytest.approx(0.0, abs=1e-6)
    assert regularize("variance_covariance", torch.ones(50, 8)) == pytest.approx(1 - 1e-2, abs=1e-5)
    assert math.isfinite(regularize("variance_covariance", torch.ones(1, 8)))


def slow_sigreg(z, sketch, knots=17):
    """Per direction, by the trapezoid rule on both sides of zero."""
    t = np.linspace(-3, 3, 2 * knots - 1)
    values = []
    for direction in sketch.double().numpy().T:
        x = z.double().numpy() @ direction
        integrand = []
        for s in t:
            ecf = np.mean(np.exp(1j * s * x))
            integrand.append(math.exp(-0.5 * s * s) * abs(ecf - math.exp(-0.5 * s * s)) ** 2)
        values.append(len(x) * np.trapezoid(integrand, t))
    return float(np.mean(values))


def test_sigreg_is_the_loop_over_directions():
    z = 1.3 * normal(12, 4) + 0.2
    block = build("regularizer", {"name": "sigreg", "directions": 5}, 4).eval()
    assert float(block(z)) == pytest.approx(slow_sigreg(z, block._sketch(z.device)), rel=1e-5)


def test_sigreg_approximates_the_integral_over_the_whole_line():
    z = normal(30, 3)
    block = build("regularizer", {"name": "sigreg", "directions": 3}, 3).eval()
    exact = []
    for x in (z @ block._sketch(z.device)).double().numpy().T:

        def integrand(t, x=x):
            return math.exp(-0.5 * t * t) * abs(np.mean(np.exp(1j * t * x)) - math.exp(-0.5 * t * t)) ** 2

        exact.append(len(x) * quad(integrand, -10, 10)[0])
    assert float(block(z)) == pytest.approx(np.mean(exact), rel=0.05)


def test_sigreg_tells_gaussian_from_collapsed_and_scaled():
    z = normal(500, 16)
    good = regularize("sigreg", z)
    # for a Gaussian sample n E|ecf(t) - exp(-t^2/2)|^2 = 1 - exp(-t^2), whatever n
    assert good == pytest.approx(math.sqrt(2 * math.pi) * (1 - math.sqrt(1 / 3)), rel=0.35)
    assert regularize("sigreg", torch.zeros(500, 16)) > 100 * good
    assert regularize("sigreg", 3 * z) > 50 * good
    assert regularize("sigreg", z[:1].expand(500, 16)) > 50 * good


def test_sigreg_pulls_a_small_cloud_apart():
    z = (0.1 * normal(64, 4)).requires_grad_()
    block = build("regularizer", "sigreg", 4)
    for _ in range(200):
        (gradient,) = torch.autograd.grad(block(z), z)
        z = (z - 0.3 * gradient).detach().requires_grad_()
    assert 0.8 < float(z.detach().std()) < 1.2


def test_sigreg_draws_new_directions_each_step_and_the_same_after_a_resume():
    z, block = normal(20, 4), build("regularizer", {"name": "sigreg", "directions": 4}, 4)
    first = [float(block(z)) for _ in range(3)]
    assert len(set(first)) == 3
    state = copy.deepcopy(block.state_dict())
    following = [float(block(z)) for _ in range(2)]
    again = build("regularizer", {"name": "sigreg", "directions": 4}, 4)
    again.load_state_dict(state)
    assert [float(again(z)) for _ in range(2)] == following
    again.eval()
    assert float(again(z)) == float(again(z))  # an evaluation moves nothing


def test_koleo_is_the_loop():
    z = normal(9, 3)
    unit = (z / z.norm(dim=1, keepdim=True)).double()
    total = 0.0
    for i in range(9):
        total -= math.log(min(float((unit[i] - unit[j]).norm()) for j in range(9) if j != i) + 1e-8)
    assert regularize("koleo", z) == pytest.approx(total / 9, abs=1e-5)


@pytest.mark.parametrize("name", ["variance_covariance", "sigreg", "koleo"])
def test_regularizers_of_equal_rows_have_finite_gradients(name):
    z = torch.ones(6, 4, requires_grad=True)
    build("regularizer", name, 4)(z).backward()
    assert torch.isfinite(z.grad).all()
