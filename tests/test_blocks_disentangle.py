"""Forgetting who it is: whose gradients go where, and what each loss is least at."""

from __future__ import annotations

import math

import pytest
import torch
from blocks_kit import SPEC, batch, objective
from omnipatch.core.blocks.disentangle import Adversary, Decorrelate
from omnipatch.core.blocks.encoder import Encoded
from omnipatch.core.blocks.gradients import scale_gradient
from omnipatch.core.blocks.layer_pool import LayerPool
from omnipatch.core.blocks.targets import Target
from omnipatch.core.errors import InputError

WIDTH, PEOPLE = 8, 3
CLASSIFIER = {"name": "adversary", "width": 32, "hidden": 16, "most": 8}


def people(rows=12):
    """[row, person] one-hot, and embeddings that tell them apart."""
    who = torch.nn.functional.one_hot(torch.arange(rows) % PEOPLE, PEOPLE).float()
    z = torch.randn(rows, WIDTH, generator=torch.Generator().manual_seed(0)) + 3 * (who @ torch.eye(PEOPLE, WIDTH))
    return z, Target(who, torch.ones(rows, dtype=torch.bool))


def adversary(**options):
    torch.manual_seed(0)
    return Adversary(width=WIDTH, **{"hidden": 16, "most": 8, **options})


def mean(loss, z, target):
    values, weights = loss(z, target, torch.zeros(len(z)))
    return (values * weights).sum() / weights.sum()


def gradients(loss, z, target):
    """Gradient of the embeddings, and of the classifier."""
    z = z.clone().requires_grad_()
    mean(loss, z, target).backward()
    return z.grad, [p.grad for p in loss.parameters()]


def plain_gradients(z, target, **options):
    """The same of an honest classifier with the same weights."""
    loss, z = adversary(**options), z.clone().requires_grad_()
    scores = loss.classifier(z)[:, :PEOPLE]
    torch.nn.functional.cross_entropy(scores, target.values.argmax(dim=1)).backward()
    return z.grad, [p.grad for p in loss.parameters()]


@pytest.mark.parametrize("factor", [-2.0, 0.0, 0.5, 1.0])
def test_a_gradient_is_scaled_and_the_value_is_not(factor):
    x = torch.randn(4, requires_grad=True)
    y = scale_gradient(x, factor)
    assert torch.equal(y, x)
    (y**2).sum().backward()
    torch.testing.assert_close(x.grad, factor * 2 * x.detach())


class TestReversal:
    @pytest.mark.parametrize("scale", [1.0, 0.3])
    @pytest.mark.parametrize("hidden", [0, 16])
    def test_the_classifier_learns_and_the_encoder_gets_the_opposite(self, scale, hidden):
        z, target = people()
        of_z, of_classifier = gradients(adversary(kind="reversal", scale=scale, hidden=hidden), z, target)
        plain_z, plain_classifier = plain_gradients(z, target, hidden=hidden)
        torch.testing.assert_close(of_z, -scale * plain_z)
        for mine, plain in zip(of_classifier, plain_classifier, strict=True):
            torch.testing.assert_close(mine, plain)

    def test_its_value_is_the_cross_entropy_among_those_there_are(self):
        z, target = people()
        loss = adversary(hidden=0)
        with torch.no_grad():
            for p in loss.classifier[1].parameters():
                p.zero_()
        assert float(mean(loss, z, target).detach()) == pytest.approx(math.log(PEOPLE))


class TestUniform:
    def test_the_classifier_learns_as_if_there_were_no_encoder(self):
        z, target = people()
        _, of_classifier = gradients(adversary(kind="uniform", scale=5.0), z, target)
        for mine, plain in zip(of_classifier, plain_gradients(z, target)[1], strict=True):
            torch.testing.assert_close(mine, plain)

    def test_the_encoder_gets_that_of_the_divergence_from_uniform(self):
        z, target = people()
        of_z, _ = gradients(adversary(kind="uniform", scale=2.0), z, target)
        loss, z = adversary(), z.clone().requires_grad_()
        answer = torch.log_softmax(loss.classifier(z)[:, :PEOPLE], dim=-1)
        uniform = torch.full_like(answer, 1 / PEOPLE)
        torch.nn.functional.kl_div(answer, uniform, reduction="batchmean").backward()
        torch.testing.assert_close(of_z, 2.0 * z.grad)

    def test_it_is_least_where_the_classifier_knows_nothing(self):
        z, target = people()
        loss = adversary(kind="uniform", hidden=0)
        push = mean(loss, z, target) - mean(adversary(hidden=0), z, target)
        assert push > 0
        with torch.no_grad():
            for p in loss.classifier[1].parameters():
                p.zero_()
        of_z, _ = gradients(loss, z, target)
        assert float(mean(loss, z, target).detach()) == pytest.approx(
            math.log(PEOPLE)
        )  # of the classifier; the push is zero
        torch.testing.assert_close(of_z, torch.zeros_like(of_z))

    def test_descending_on_embeddings_alone_takes_away_what_the_classifier_knows(self):
        z, target = people()
        loss = adversary(kind="uniform")
        honest = torch.optim.Adam(loss.parameters(), 0.02)
        for _ in range(60):
            honest.zero_grad()
            mean(loss, z, target).backward()
            honest.step()
        knows = adversary()
        knows.load_state_dict(loss.state_dict())
        before = mean(knows, z, target)
        z = z.clone().requires_grad_()
        encoder = torch.optim.Adam([z], 0.05)
        for _ in range(80):
            encoder.zero_grad()
            mean(loss, z, target).backward()
            encoder.step()
        after = float(mean(knows, z.detach(), target).detach())
        assert before < 0.3
        assert after == pytest.approx(math.log(PEOPLE), abs=0.1)


class TestDecorrelate:
    def test_it_is_the_squared_cosine_to_what_is_common(self):
        z = torch.tensor([[2.0, 0.0], [0.0, 1.0], [-2.0, 0.0], [0.0, -1.0]])
        goal = torch.tensor([[5.0, 0.0], [5.0, 0.0], [5.0, 0.0], [1.0, 1.0]])
        values, _ = Decorrelate()(z, Target(goal, torch.ones(4, dtype=torch.bool)), torch.zeros(4))
        torch.testing.assert_close(values, torch.tensor([1.0, 0.0, 1.0, 0.5]))
        moved, _ = Decorrelate()(z + 100.0, Target(goal, torch.ones(4, dtype=torch.bool)), torch.zeros(4))
        torch.testing.assert_close(moved, values, atol=1e-4, rtol=0)

    def test_rows_without_a_target_do_not_count(self):
        z = torch.randn(3, 2, requires_grad=True)
        values, weights = Decorrelate()(z, Target(torch.full((3, 2), torch.nan), torch.zeros(3, dtype=torch.bool)), z)
        (values * weights).sum().backward()
        assert not z.grad.any()


class TestLayers:
    def encoded(self, layers):
        valid = torch.ones(2, 3, dtype=torch.bool)
        return Encoded(layers[-1], valid, torch.zeros(2, 3, 1), None, layers[-1].mean(1), tuple(layers), layers[0])

    def test_each_layer_gets_its_share_of_the_gradient(self):
        layers = [torch.randn(2, 3, 4, requires_grad=True) for _ in range(3)]
        head = LayerPool(SPEC, 4, weights=(1.0, 0.25))
        pooled = head(self.encoded(layers))
        assert pooled.shape == (2, head.out)
        torch.testing.assert_close(pooled, torch.cat([layers[1].mean(1), layers[2].mean(1)], dim=-1))
        pooled.sum().backward()
        assert layers[0].grad is None
        torch.testing.assert_close(layers[1].grad, 4 * layers[2].grad)

    def test_more_weights_than_layers(self):
        with pytest.raises(InputError, match="more weights than the encoder has layers, got 3, expected at most 2"):
            LayerPool(SPEC, 4, weights=(1.0, 1.0, 1.0))(self.encoded([torch.randn(2, 3, 4)] * 2))


def composed(loss, target=None, **more):
    """Masked autoencoding that also forgets people, prepared on three of them."""
    options = {
        "name": "mae",
        "targets": {"who": {"name": target or "subject"}},
        "terms": {
            "who": {"site": "pooled", "source": "context", "target": "who", "loss": loss, **more.pop("term", {})}
        },
        **more,
    }
    made = objective(options)
    made.prepare(lambda: iter([batch(6)]))
    return made


class TestInAnObjective:
    def test_a_term_beside_the_others_trains_classifier_and_encoder(self):
        made = composed(CLASSIFIER)
        outcome = made(batch(6), 0, 0)
        assert outcome.terms["who"] == pytest.approx(math.log(3), abs=0.7)
        outcome.loss.backward()
        assert all(p.grad is not None for p in made.losses["who"].classifier.parameters())

    def test_layers_are_read_from_the_one_encoding(self, monkeypatch):
        made = composed(
            {**CLASSIFIER, "width": 64}, heads={"layers": {"name": "layer_pool", "weights": [1.0, 0.5]}},
            term={"head": "layers"},
        )  # fmt: skip
        calls = []
        encode = made.encoder.encode
        monkeypatch.setattr(made.encoder, "encode", lambda *args: calls.append(args) or encode(*args))
        made(batch(6), 0, 0).loss.backward()
        assert len(calls) == 1

    def test_each_token_can_be_asked_too(self):
        made = composed(CLASSIFIER, term={"site": "visible"})
        outcome = made(batch(6), 0, 0)
        outcome.loss.backward()
        assert outcome.terms["who"] == pytest.approx(math.log(3), abs=0.7)
        assert made.targets["who"].codes.tolist() == [0, 1, 2]

    def test_people_who_are_unknown_or_new_do_not_count(self):
        made = composed(CLASSIFIER)
        strange = batch(6)
        strange = strange.replace(subject=torch.tensor([-1, -1, 9, 9, 9, 9]))
        assert made(strange, 0, 0).terms["who"] == 0
        mixed = batch(6).replace(subject=torch.tensor([0, 0, 1, 1, 2, 9]))
        with torch.no_grad():
            a, b = made(mixed, 0, 0), made(mixed.rows([0, 1, 2, 3, 4]), 0, 0)
        assert a.terms["who"] == pytest.approx(float(b.terms["who"]), abs=1e-5)

    def test_the_place_of_a_subject_is_a_moving_average_without_oneself(self):
        made = composed({"name": "decorrelate"}, "subject_mean")
        target = made.targets["who"]
        assert made(batch(6), 0, 0).terms["who"] == 0  # nobody was met before
        made.after_step(0)
        assert target.met.tolist() == [True, True, True]
        first = target.means.clone()
        outcome = made(batch(6), 0, 1)
        assert 0 < outcome.terms["who"] <= 1
        made.after_step(1)
        assert 0 < (target.means - first).abs().max() < 0.2 * first.abs().max()
        again = composed({"name": "decorrelate"}, "subject_mean")
        again.load_state_dict(made.state_dict())
        torch.testing.assert_close(again.targets["who"].means, target.means)

    def test_a_target_of_another_width_is_named(self):
        with pytest.raises(InputError, match="of one width"):
            composed({"name": "decorrelate"}, "subject")(batch(6), 0, 0)

    def test_without_a_look_at_the_windows_there_is_nobody(self):
        with pytest.raises(RuntimeError, match="prepare"):
            objective({"name": "mae", **{k: {"who": v} for k, v in {
                "targets": {"name": "subject"},
                "terms": {"site": "pooled", "source": "context", "target": "who", "loss": CLASSIFIER},
            }.items()}})(batch(6), 0, 0)  # fmt: skip

    def test_faults_are_one_sentence(self):
        with pytest.raises(InputError, match="another width, got 32, expected 5"):
            composed({**CLASSIFIER, "width": 5})(batch(6), 0, 0)
        with pytest.raises(
            InputError, match="more subjects than the adversary can tell apart, got 3, expected at most 2"
        ):
            composed({**CLASSIFIER, "most": 2})(batch(6), 0, 0)
        with pytest.raises(InputError, match="nobody is known by name"):
            objective({"name": "mae", "targets": {"who": {"name": "subject"}}, "terms": {
                "who": {"site": "pooled", "source": "context", "target": "who", "loss": CLASSIFIER},
            }}).prepare(lambda: iter([batch(6).replace(subject=torch.full((6,), -1))]))  # fmt: skip
