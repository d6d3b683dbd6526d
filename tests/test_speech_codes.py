"""Codes as targets: learned from the training windows, looked up by window and token, and predicted with two losses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from omnipatch.core.batching import collate
from omnipatch.core.blocks.registry import build
from omnipatch.core.blocks.targets import Target
from omnipatch.core.compose import resolve_objective
from omnipatch.core.errors import InputError
from omnipatch.core.objective import Objective
from omnipatch.modalities.speech.code_losses import Codes, JointCodes
from omnipatch.modalities.speech.codes import CodeTarget
from omnipatch.modalities.speech.mvq import train_quantizer
from omnipatch.modalities.speech.tokens import make_tokens, token_spec

SPEC = token_spec(bands=6, frames=2, hop_s=0.02)
BOOKS, ENTRIES = 3, 8
ENCODER = {"name": "transformer", "width": 16, "depth": 1, "heads": 2}


def windows(rows: int = 12, frames: int = 24, first: int = 0):
    """A batch of noise with window ids that are no numbers of rows."""
    made = [
        make_tokens(np.random.default_rng(first + i).normal(size=(6, frames - 2 * (i % 3))).astype(np.float32), SPEC)
        for i in range(rows)
    ]
    return collate(made).replace(window=1000 + 7 * torch.arange(first, first + rows))


def composition(loss="codes", out=BOOKS * ENTRIES, site="target") -> dict:
    return {
        "name": "test",
        "views": {"context": {"mask": {"name": "random", "ratio": 0.5, "repeats": 2}}},
        "heads": {"predictor": {"name": "decoder", "out": out, "width": 16, "heads": 2}},
        "targets": {"codes": {"name": "codes", "codebooks": BOOKS, "entries": ENTRIES, "rounds": 2}},
        "terms": {"codes": {"site": site, "source": "context", "head": "predictor", "target": "codes", "loss": loss}},
    }


def objective(**options) -> Objective:
    torch.manual_seed(0)
    return Objective.from_config(composition(**options), SPEC, build("encoder", ENCODER, SPEC))


class TestTarget:
    def prepared(self, batches) -> CodeTarget:
        target = CodeTarget(SPEC, None, {}, codebooks=BOOKS, entries=ENTRIES, rounds=2)
        target.prepare(lambda: batches)
        return target

    def ask(self, target, batch, index, rows=None):
        from omnipatch.core.blocks.targets import Request
        from omnipatch.core.blocks.views import IndexSet, View

        chosen = IndexSet(index, torch.ones_like(index, dtype=torch.bool))
        return target(Request(View(batch), lambda *_: None, rows, chosen))  # type: ignore[arg-type]

    def test_each_token_gets_its_code_whatever_stands_around_it(self):
        first, second = windows(8), windows(4, frames=40, first=8)
        target = self.prepared([first, second])
        for batch in (first, second):
            expected = target.quantizer.encode(batch.values, 4)
            turned = torch.tensor([3, 0, 2])
            index = torch.tensor([[0, 5], [9, 1], [4, 4]])
            found = self.ask(target, batch.rows(turned), index)
            torch.testing.assert_close(
                found.values[found.valid].long(), expected[turned.unsqueeze(1), index][found.valid]
            )
            assert torch.isfinite(found.values[found.valid]).all()

    def test_repeated_masks_of_a_window_share_its_codes(self):
        batch = windows(4)
        target = self.prepared([batch])
        index = torch.tensor([[0, 1]] * 8)
        found = self.ask(target, batch, index, rows=torch.arange(4).repeat(2))
        torch.testing.assert_close(found.values[:4], found.values[4:])

    def test_an_augmented_view_is_asked_for_the_clean_codes(self):
        batch = windows(4)
        target = self.prepared([batch])
        loud = batch.replace(values=batch.values + 3.0)
        index = torch.arange(5).expand(4, -1)
        torch.testing.assert_close(self.ask(target, loud, index).values, self.ask(target, batch, index).values)

    def test_tokens_that_lack_frames_and_foreign_windows_have_no_codes(self):
        batch = windows(3)
        values = batch.values.view(3, -1, 6, 2).clone()
        values[0, 1, :, 1] = torch.nan  # a frame
        values[1, 1, 3] = torch.nan  # a band
        batch = batch.replace(values=values.flatten(2))
        target = self.prepared([batch])
        index = torch.ones(3, 1, dtype=torch.long)
        found = self.ask(target, batch, index).values
        assert torch.isnan(found[0]).all()
        assert torch.isfinite(found[1:]).all()
        assert torch.isnan(self.ask(target, batch.replace(window=batch.window + 1), index).values).all()

    def test_preparing_again_gives_the_same_codes(self):
        batch = windows(12)
        one, two = self.prepared([batch]), self.prepared([batch])
        assert one.quantizer.fingerprint == two.quantizer.fingerprint
        index = torch.arange(8).expand(12, -1)
        torch.testing.assert_close(
            self.ask(one, batch, index).values, self.ask(two, batch, index).values, equal_nan=True
        )
        assert one.usage.entries == ENTRIES

    def test_codebooks_of_a_teacher_that_listens_are_refused_for_files_at_once(self, tmp_path):
        self.prepared([windows(12)]).keep(tmp_path)
        target = CodeTarget(SPEC, None, None, teacher={"name": "run", "folder": "runs/first"})
        with pytest.raises(InputError, match=r"made in training only.*mvq\.Quantizer"):
            target.restore(tmp_path)

    def test_what_metrics_say_of_codes(self):
        target = CodeTarget(SPEC, None, {}, codebooks=2, entries=4, rounds=1)
        assert target.facts() == {}
        target.prepare(lambda: [windows(12)])
        facts = target.facts()
        assert 0.5 < facts["used"] <= 1.0
        assert 0.5 < facts["entropy_bits"] <= 2.0

    def test_few_tokens_have_fewer_entries(self):
        target = CodeTarget(SPEC, None, {}, codebooks=1, entries=64, rounds=1)
        target.prepare(lambda: [windows(1, frames=10)])
        assert target.quantizer.entries == 5

    def test_a_quantiser_of_ones_own(self, tmp_path):
        batch = windows(12)
        own = train_quantizer(batch.values[batch.valid], BOOKS, ENTRIES, rounds=1)
        own.save(tmp_path / "q.safetensors")
        target = CodeTarget(SPEC, None, {}, codebooks=BOOKS, quantizer=str(tmp_path / "q.safetensors"))
        target.prepare(lambda: [batch])
        found = self.ask(target, batch, torch.arange(3).expand(12, -1)).values.long()
        torch.testing.assert_close(found, own.encode(batch.values[:, :3], 4))
        with pytest.raises(InputError, match="got 3 codebooks in 12 dimensions, expected 8 in 12"):
            CodeTarget(SPEC, None, {}, quantizer=str(tmp_path / "q.safetensors")).prepare(lambda: [batch])


class TestLosses:
    @pytest.fixture(autouse=True)
    def drawn_alike(self):
        torch.manual_seed(0)

    def target(self, codes: torch.Tensor) -> Target:
        return Target(codes.float(), torch.ones(codes.shape[:-1], dtype=torch.bool))

    def test_sure_and_right_costs_nothing_and_no_idea_the_whole_entropy(self):
        codes = torch.randint(0, ENTRIES, (2, 5, BOOKS))
        sure = 50.0 * torch.nn.functional.one_hot(codes, ENTRIES).float().flatten(-2)
        values, weights = Codes()(sure, self.target(codes), torch.zeros(2))
        assert values.max() < 1e-6
        assert weights.tolist() == [[1.0] * 5] * 2
        values, _ = Codes()(torch.zeros_like(sure), self.target(codes), torch.zeros(2))
        torch.testing.assert_close(values, torch.full((2, 5), math.log(ENTRIES)))

    @pytest.mark.parametrize("make", [Codes, lambda: JointCodes(codebooks=BOOKS, entries=ENTRIES, width=24)])
    def test_unknown_codes_count_nowhere(self, make):
        loss, codes = make(), torch.randint(0, ENTRIES, (1, 4, BOOKS)).float()
        prediction = torch.randn(1, 4, 24)
        plain, _ = loss(prediction, self.target(codes), torch.zeros(1))
        codes[0, 1] = torch.nan
        codes[0, 2, -1] = torch.nan
        values, weights = loss(prediction, self.target(codes), torch.zeros(1))
        assert weights.tolist() == [[1.0, 0.0, 1.0, 1.0]]
        torch.testing.assert_close(values[0, [0, 3]], plain[0, [0, 3]])
        assert torch.isfinite(values).all()

    def test_the_joint_loss_knows_only_earlier_codes(self):
        loss = JointCodes(codebooks=BOOKS, entries=ENTRIES, width=8)
        prediction, codes = torch.randn(1, 1, 8), torch.randint(0, ENTRIES, (1, 1, BOOKS))
        alone = []
        for n in range(BOOKS):
            only = torch.full((1, 1, BOOKS), torch.nan)
            only[..., n] = codes[..., n]
            before = codes.float().clone()
            before[..., n + 1 :] = (before[..., n + 1 :] + 3) % ENTRIES  # later codes may be anything
            known = before.clone()
            known[..., :n] = codes[..., :n]
            values = _each(loss, prediction, known)
            alone.append(values[..., n])
        torch.testing.assert_close(torch.stack(alone, -1), _each(loss, prediction, codes.float()))

    def test_codes_that_depend_on_each_other_are_predicted_better_jointly(self):
        first = torch.randint(0, ENTRIES, (512, 1))
        codes = torch.cat([first, (first * 3 + 1) % ENTRIES], dim=1)  # nothing to see, but the second follows
        loss = JointCodes(codebooks=2, entries=ENTRIES, width=16)
        adam = torch.optim.Adam(loss.parameters(), lr=0.03)
        for _ in range(120):
            values, _ = loss(torch.zeros(512, 16), self.target(codes), torch.zeros(512))
            adam.zero_grad()
            values.mean().backward()
            adam.step()
        assert values.mean() < 0.6 * math.log(
            ENTRIES
        )  # one of two codebooks costs its whole entropy, the other nothing

    def test_heads_of_another_size_are_one_sentence(self):
        codes = torch.randint(0, ENTRIES, (1, 2, BOOKS))
        with pytest.raises(InputError, match="does not divide into codebooks"):
            Codes()(torch.zeros(1, 2, 7), self.target(codes), torch.zeros(1))
        with pytest.raises(InputError, match="too few entries"):
            Codes()(torch.zeros(1, 2, BOOKS * 2), self.target(codes * 0 + 5), torch.zeros(1))
        with pytest.raises(InputError, match="made for other sizes"):
            JointCodes(codebooks=2, entries=8, width=8)(torch.zeros(1, 2, 8), self.target(codes), torch.zeros(1))


def _each(loss: JointCodes, prediction: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    """[..., codebook] what each codebook costs: differences of means over more and more known ones."""
    found, total = [], torch.zeros(codes.shape[:-1])
    for n in range(codes.shape[-1]):
        known = codes.clone()
        known[..., n + 1 :] = torch.nan
        value, _ = loss(prediction, Target(known, torch.ones(codes.shape[:-1], dtype=torch.bool)), torch.zeros(1))
        found.append(value * (n + 1) - total)
        total = value * (n + 1)
    return torch.stack(found, dim=-1)


class TestObjective:
    @pytest.mark.parametrize(
        "options",
        [{}, {"site": "all"}, {"loss": {"name": "joint_codes", "codebooks": 3, "entries": 8, "width": 24}}],
        ids=["masked", "all", "joint"],
    )
    def test_it_learns_to_predict_codes(self, options):
        batch, made = windows(16), objective(**options)
        made.prepare(lambda: [batch])
        adam = torch.optim.Adam([p for p in made.parameters() if p.requires_grad], lr=3e-3)
        losses = []
        for _ in range(25):
            outcome = made(batch, seed=0, step=0)
            adam.zero_grad()
            outcome.loss.backward()
            adam.step()
            losses.append(float(outcome.loss.detach()))
        assert losses[0] == pytest.approx(math.log(ENTRIES), rel=0.3)
        assert losses[-1] < 0.93 * losses[0]

    def test_nothing_is_asked_before_the_windows_were_seen(self):
        with pytest.raises(RuntimeError, match="prepare"):
            objective()(windows(4), seed=0, step=0)

    def test_the_weights_survive(self):
        batch, one, two = windows(16), objective(), objective()
        one.prepare(lambda: [batch])
        two.prepare(lambda: [batch])
        two.load_state_dict(one.state_dict())

    def test_a_mistyped_option_names_the_nearest(self):
        wrong = composition()
        wrong["targets"]["codes"]["codebook"] = 3
        with pytest.raises(InputError, match="did you mean 'codebooks'"):
            resolve_objective(wrong)
