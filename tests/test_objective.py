"""What every objective promises, shipped or composed: padding is nothing, views are encoded once, state survives."""

from __future__ import annotations

import copy

import pytest
import torch
from blocks_kit import SPEC, batch, encoder, insert_invalid, objective, run
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.blocks import contrastive
from omnipatch.core.blocks.heads import Query
from omnipatch.core.blocks.monitors import health
from omnipatch.core.blocks.targets import normalize_tokens
from omnipatch.core.blocks.views import IndexSet
from omnipatch.core.compose import shipped_objectives
from omnipatch.core.errors import InputError
from omnipatch.core.objective import Objective
from omnipatch.core.rng import RowRandom

SHIPPED = shipped_objectives()


def gradients(built):
    return {n: p.grad.clone() for n, p in built.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", SHIPPED)
@settings(max_examples=4, deadline=None)
@given(at=st.lists(st.integers(0, 12), min_size=1, max_size=5))
def test_invalid_patches_change_nothing(name, at):
    """Losses, terms, monitors, gradients and what the objective remembers, whatever the invalid patches hold."""
    made = batch(6, 12)
    wide, _ = insert_invalid(made, at)
    seen = []
    for each in (made, wide):
        built = objective(name)
        outcome = built(each, 3, 5)
        outcome.loss.backward()
        built.after_step(5)
        seen.append((outcome, gradients(built), dict(built.named_buffers())))
    (plain, g0, b0), (padded, g1, b1) = seen
    torch.testing.assert_close(padded.terms, plain.terms, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(padded.taps, plain.taps, atol=1e-4, rtol=1e-3)
    assert health(padded.taps) == pytest.approx(health(plain.taps), rel=1e-2, abs=1e-4)
    torch.testing.assert_close(g1, g0, atol=1e-3, rtol=1e-2)
    # the square root in DirectPred's weight magnifies rounding of eigenvalues near zero
    torch.testing.assert_close(b1, b0, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("name", SHIPPED)
def test_rows_of_any_number_of_valid_patches_and_missing_sensors(name):
    valid = torch.ones(6, 12, dtype=torch.bool)
    valid[0], valid[1, 1:], valid[2, 7:] = False, False, False
    made = batch(6, 12, valid=valid)
    values = made.values.clone()
    values[3:, :, 8:] = float("nan")
    made = made.replace(values=values)
    losses = run(objective(name), made, 3)
    assert all(torch.isfinite(torch.tensor(losses)))
    # an empty window is nobody's target, negative or statistic
    full = objective(name)(made, 0, 0)
    cut = objective(name)(made.rows([1, 2, 3, 4, 5]), 0, 0)
    torch.testing.assert_close(full.terms, cut.terms, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_trained_weight_gets_a_gradient(name):
    built = objective(name)
    built(batch(), 0, 0).loss.backward()
    assert [n for n, p in built.named_parameters() if p.requires_grad and p.grad is None] == []
    assert all(torch.isfinite(g).all() for g in gradients(built).values())


@pytest.mark.parametrize("name", SHIPPED)
def test_state_dict_restores_a_run_to_the_bit(name):
    made, first = batch(), objective(name)
    run(first, made, 3)
    state = copy.deepcopy(first.state_dict())
    expected = run(first, made, 3)
    second = objective(name)
    second.load_state_dict(state)
    assert run(second, made, 3) == expected


@pytest.mark.parametrize("name", SHIPPED)
def test_steps_are_a_pure_function_of_seed_and_step(name):
    made, built = batch(), objective(name).eval()
    with torch.no_grad():
        first, again, other = (float(built(made, 0, step).loss) for step in (4, 4, 5))
    assert first == again
    assert first != other


@pytest.mark.parametrize("name", SHIPPED)
def test_losses_are_float32_under_autocast(name):
    """bf16 may touch the encoder and heads; the loss itself loses no precision to it."""
    made, built = batch(16), objective(name)
    plain = built(made, 0, 0).loss.detach()
    with torch.autocast("cpu", torch.bfloat16):
        outcome = objective(name)(made, 0, 0)
    assert outcome.loss.dtype == torch.float32
    assert all(v.dtype == torch.float32 for v in outcome.terms.values())
    torch.testing.assert_close(outcome.loss.detach(), plain, rtol=0.03, atol=0.03)


def test_no_matrix_product_of_a_loss_runs_in_half_precision(monkeypatch):
    seen = []
    original = contrastive.F.cross_entropy
    monkeypatch.setattr(
        contrastive.F, "cross_entropy", lambda logits, *a, **k: seen.append(logits.dtype) or original(logits, *a, **k)
    )
    with torch.autocast("cpu", torch.bfloat16):
        objective("simclr")(batch(), 0, 0)
    assert seen == [torch.float32]


# ---- each distinct view is encoded once ---------------------------------------------------------------------------


def encoded_shapes(built, made):
    """{encoder: shapes [row, patch] it was called with}."""
    calls: dict[str, list] = {}
    models = {"online": built.encoder}
    models |= {n: t.encoder for n, t in built.targets.items() if getattr(t, "encoder", None) is not None}
    for name, model in models.items():
        original = model.encode

        def encode(batch, index, keep, name=name, original=original):
            calls.setdefault(name, []).append(tuple(batch.valid.shape))
            return original(batch, index, keep)

        model.encode = encode
    built(made, 0, 0)
    return calls


@pytest.mark.parametrize(
    ("name", "calls"),
    [
        ("mae", {"online": [(6, 5)]}),
        ("jepa", {"online": [(6, 5)], "teacher": [(6, 12)]}),
        ("jepa-sigreg", {"online": [(6, 5), (6, 12)]}),
        ("dmjd", {"online": [(12, 6)], "teacher": [(6, 12)]}),
        ("simclr", {"online": [(6, 12)] * 2}),
        ("byol", {"online": [(6, 12)] * 2, "teacher": [(6, 12)] * 2}),
    ],
)
def test_each_view_is_encoded_once_and_hidden_patches_never(name, calls):
    assert encoded_shapes(objective(name), batch(6, 12)) == calls


def test_several_masks_share_one_target_pass():
    options = {"name": "jepa", "views": {"context": {"mask": {"repeats": 3}}}}
    assert encoded_shapes(objective(options), batch(6, 12)) == {"online": [(18, 5)], "teacher": [(6, 12)]}


def test_repeated_masks_give_the_mean_of_the_single_ones():
    made = batch(6, 12)
    options = {"views": {"context": {"mask": {"name": "random", "ratio": 0.5, "repeats": 2, "disjoint": True}}}}
    both = objective({"name": "mae", **options})(made, 0, 0).loss
    built = objective({"name": "mae", **options})
    view = built.views["context"](made, RowRandom(0, 0, made.window), None)
    parts = []
    for half in (slice(0, 6), slice(6, 12)):
        visible = IndexSet(view.visible.index[half], view.visible.valid[half])
        goal = made.patches(view.targets.index[half])
        encoded = built.encoder(made, None, visible)
        guess = built.heads["decoder"](encoded, Query(goal.coords, goal.kind, goal.valid))
        x = goal.values.view(6, -1, 2, 8)
        target = (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + 1e-2).sqrt()
        parts.append((guess - target.flatten(2)).square().mean())
    torch.testing.assert_close(both, sum(parts) / 2, atol=1e-5, rtol=1e-5)


# ---- whole objectives against a slow reading of their papers ------------------------------------------------------


def test_jepa_is_smooth_l1_to_layer_normed_latents_plus_its_guard():
    made, built = batch(5, 12), objective("jepa")
    outcome = built(made, 2, 1)
    view = built.views["context"](made, RowRandom(2, 1, made.window), None)
    latents = built.targets["teacher"].encoder(made, keep_layers=2).layers
    total, count = 0.0, 0
    for row in range(5):
        seen, goal = view.visible.index[row][None], view.targets.index[row][None]
        encoded = built.encoder(made.rows([row]).patches(seen))
        query = Query(made.coords[row, goal], torch.zeros_like(goal), torch.ones_like(goal, dtype=torch.bool))
        guess = built.heads["predictor"](encoded, query)[0]
        for k, patch in enumerate(goal[0].tolist()):
            z = torch.zeros(())
            for layer in latents:
                one = layer[row, patch].double()
                z = z + (one - one.mean()) / (one.var(unbiased=False) + 1e-5).sqrt() / len(latents)
            for error in (guess[k].double() - z).abs().tolist():
                total += 0.5 * error**2 if error < 1 else error - 0.5
            count += len(z)
    assert float(outcome.terms["latent"]) == pytest.approx(total / count, abs=1e-5)
    expected = outcome.terms["latent"] + outcome.terms["guard"]
    torch.testing.assert_close(outcome.loss.detach(), expected)


def views_of(built, made, *names):
    rng = RowRandom(0, 0, made.window)
    return [built.views[n](made, rng, built.augment).batch for n in names]


@pytest.mark.parametrize("name", ["byol", "directpred"])
def test_byol_is_symmetric_and_uses_the_average_of_the_projector(name):
    made, built = batch(6, 8), objective(name)
    outcome = built(made, 0, 0)
    a, b = views_of(built, made, "a", "b")
    fresh = objective(name)
    teacher, projector = fresh.targets["teacher"].average
    for term, source, view in (("a_to_b", a, b), ("b_to_a", b, a)):
        guess = fresh.heads["predictor"](fresh.heads["projector"](fresh.encoder(source).pooled))
        goal = projector(teacher(view).pooled)
        slow = sum(2 - 2 * float((p @ g / (p.norm() * g.norm())).detach()) for p, g in zip(guess, goal, strict=True))
        assert float(outcome.terms[term]) == pytest.approx(slow / 6, abs=1e-5)
    torch.testing.assert_close(outcome.loss.detach(), outcome.terms["a_to_b"] + outcome.terms["b_to_a"])


def test_vicreg_has_three_parts_with_the_papers_weights():
    made, built = batch(6, 8), objective("vicreg")
    outcome = built(made, 0, 0)
    a, b = (objective("vicreg").heads["projector"](built.encoder(v).pooled) for v in views_of(built, made, "a", "b"))
    width = a.shape[1]

    def parts(z):
        spread = torch.relu(1 - (z.var(0) + 1e-4).sqrt()).mean()
        cov = torch.cov(z.T)
        return spread, (cov.square().sum() - cov.diagonal().square().sum()) / width

    (va, ca), (vb, cb) = parts(a), parts(b)
    expected = 25 * (a - b).square().mean() + 25 * (va + vb) + 1 * (ca + cb)
    torch.testing.assert_close(outcome.loss, expected, atol=1e-4, rtol=1e-5)


def test_dmjd_predicts_hidden_values_and_visible_latents_of_disjoint_masks():
    made, built = batch(6, 12), objective("dmjd")
    outcome = built(made, 0, 0)
    view = built.views["context"](made, RowRandom(0, 0, made.window), None)
    first, second = (set(map(int, view.targets.index[r])) for r in (0, 6))
    assert first | second == set(range(12))
    assert not first & second
    encoded = built.encoder(made, view.rows, view.visible)
    guess = built.heads["distill"](encoded.tokens)
    teacher = built.targets["teacher"].encoder(made)
    goal = normalize_tokens(teacher.tokens, teacher.valid, "layer")[view.rows.unsqueeze(1), view.visible.index]
    error = (guess - goal).abs()
    slow = torch.where(error < 2.0, error.square() / 4.0, error - 1.0).mean()
    torch.testing.assert_close(outcome.terms["visible"], slow.detach(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(outcome.loss.detach(), outcome.terms["hidden"] + outcome.terms["visible"])


def test_dino_moves_its_centre_by_both_views():
    made, built = batch(6, 8), objective("dino")
    built(made, 0, 0)
    scores = []
    for view in views_of(built, made, "a", "b"):
        z = built.heads["projector"](built.encoder(view).pooled)
        scores.append(built.heads["prototypes"](z).mean(0))
    built.after_step(0)
    torch.testing.assert_close(built.targets["teacher"].centre, 0.1 * ((scores[0] + scores[1]) / 2).detach())


def test_sigreg_token_site_takes_one_valid_token_of_each_row():
    made, built = batch(6, 12), objective("jepa-sigreg")
    seen = []
    built.regularizers["gaussian_token"].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    built(made, 0, 0)
    (vectors,) = seen
    assert vectors.shape == (6, 64)


def test_teachers_get_no_gradient_and_move_only_after_the_step():
    made, built = batch(), objective("jepa")
    before = copy.deepcopy(built.targets["teacher"].state_dict())
    built(made, 0, 0).loss.backward()
    assert all(p.grad is None for p in built.targets["teacher"].parameters())
    torch.testing.assert_close(built.targets["teacher"].state_dict(), before)
    with torch.no_grad():
        for p in built.encoder.parameters():
            p.add_(1.0)
    built.after_step(0)
    name = "average.0.norm.bias"
    assert not torch.equal(built.targets["teacher"].state_dict()[name], before[name])


def test_stop_gradient_really_stops():
    """With the source side cut off, nothing but the target could send gradient into the encoder."""
    views = {"a": {"augment": True}, "b": {"augment": True}}
    terms = {"t": {"site": "pooled", "source": "a", "view": "b", "target": "other", "loss": "l2"}}
    seen = {}
    for stop in (False, True):
        options = {"views": views, "targets": {"other": {"name": "self", "stop_gradient": stop}}, "terms": terms}
        built, made = objective(options), batch()
        original = built.encoder.encode
        first = []

        def encode(batch, index, keep, original=original, first=first):
            out = original(batch, index, keep)
            if first:
                return out
            first.append(1)  # the source view is encoded first
            return type(out)(**{**vars(out), "pooled": out.pooled.detach()})

        built.encoder.encode = encode
        loss = built(made, 0, 0).loss
        seen[stop] = loss.requires_grad
    assert seen == {False: True, True: False}


def test_deepcopy_keeps_targets_tied_to_the_copy():
    copied = copy.deepcopy(objective({"name": "jepa", "targets": {"teacher": {"momentum": 0.0}}}))
    run(copied, batch(), 1)
    for a, b in zip(copied.encoder.parameters(), copied.targets["teacher"].encoder.parameters(), strict=True):
        torch.testing.assert_close(a.detach(), b)


def test_taps_hold_one_vector_of_each_window_in_order():
    made = batch(6, 12)
    taps = objective("dmjd")(made, 0, 0).taps
    assert {name: len(z) for name, z in taps.items()} == dict.fromkeys(taps, 6)
    assert {"encoder", "embedding", "target.teacher", "head.decoder"} <= set(taps)
    assert not any(z.requires_grad for z in taps.values())
    torch.testing.assert_close(taps["target.teacher"], objective("dmjd").encoder(made).pooled.detach())
    assert objective("dmjd")(made, 0, 0, taps=False).taps == {}


def test_a_view_that_augments_needs_an_augmentation():
    built = Objective.from_config({"name": "simclr"}, SPEC, encoder())
    with pytest.raises(InputError, match="augments, but no augmentation is set"):
        built(batch(), 0, 0)


@pytest.mark.parametrize("positions", ["fourier", "rotary"])
def test_three_dimensional_boxes_and_registers_train(positions):
    spec = type(SPEC)(axes=("x_m", "y_m", "z_m"), patch_shape=(2, 8), axis_scales=(0.1, 0.1, 0.1))
    made = batch(6, 12, spec=spec)
    made = made.replace(coords=torch.rand(6, 12, 3, generator=torch.Generator().manual_seed(0)))
    options = {
        "name": "jepa",
        "views": {"context": {"mask": {"name": "box", "size": {"x_m": 0.3, "y_m": 0.3, "z_m": 0.3}}}},
        "targets": {"teacher": {"layers": 2, "normalize": "instance"}},
    }
    losses = run(objective(options, spec, registers=2, positions=positions), made, 15)
    assert losses[-1] < losses[0]
