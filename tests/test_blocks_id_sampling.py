"""Drawing ids: how often each comes, and that log-Q leaves no trace of it in what is learned."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from ids_kit import IDS, encoder, known, target_of
from omnipatch import SequenceSpec
from omnipatch.core.blocks import ids as ids_module
from omnipatch.core.blocks.id_sampling import IdProposal
from omnipatch.core.blocks.ids import IdSoftmax
from omnipatch.core.blocks.registry import build
from scipy.stats import chisquare


def proposal(popularity: float = 1.0, told: bool = True) -> IdProposal:
    made = IdProposal(IDS, popularity)
    if told:
        made.tell(known())
    return made


class TestProposal:
    @pytest.mark.parametrize("popularity", [0.0, 0.5, 1.0])
    def test_ids_come_by_their_frequency(self, popularity):
        torch.manual_seed(0)
        ids, expected = proposal(popularity).draw(20000)
        odds = (np.asarray(known().taken.sum(axis=0)).ravel() + 1) ** popularity
        share = odds / odds.sum()
        assert chisquare(np.bincount(ids.numpy(), minlength=IDS), share * 20000).pvalue > 1e-3
        assert np.allclose(expected.exp().numpy(), share[ids.numpy()] * 20000, rtol=1e-4)

    def test_who_was_told_nothing_draws_all_alike(self):
        ids, expected = proposal(told=False).draw(5000)
        assert expected.tolist() == pytest.approx([math.log(5000 / IDS)] * 5000, abs=1e-5)
        assert chisquare(np.bincount(ids.numpy(), minlength=IDS)).pvalue > 1e-4

    def test_it_is_no_weight(self):
        assert not proposal().state_dict()

    def test_popularity_is_a_share(self):
        with pytest.raises(ValueError, match="popularity"):
            IdProposal(IDS, 2.0)


def gradient(loss: IdSoftmax, model, z, target) -> torch.Tensor:
    """Of the mean loss, with respect to the vectors of all ids."""
    model.zero_grad()
    values, _ = loss(z, target, torch.zeros(len(z)))
    values.mean().backward()
    return model.id_table().grad.clone()


class TestSampled:
    def setup_method(self):
        self.model, self.target = encoder(), target_of([1, 20, 3], [16, 2, -1])
        with torch.no_grad():
            self.model.id_table().normal_()
        self.z = torch.randn(2, 8, generator=torch.Generator().manual_seed(1))

    def mean_gradient(self, loss):
        torch.manual_seed(0)
        return torch.stack([gradient(loss, self.model, self.z, self.target) for _ in range(150)]).mean(dim=0)

    @pytest.mark.parametrize("popularity", [0.0, 1.0])
    def test_its_gradient_is_expected_to_be_that_of_the_whole(self, popularity):
        whole = gradient(IdSoftmax(self.model, sampled=0), self.model, self.z, self.target)
        sampled = IdSoftmax(self.model, sampled=400, popularity=popularity)
        sampled.proposal.tell(known())
        far = torch.linalg.vector_norm(self.mean_gradient(sampled) - whole) / torch.linalg.vector_norm(whole)
        assert float(far) < 0.03

    def test_without_the_correction_it_would_be_another(self):
        """So that the test above can fail."""
        whole = gradient(IdSoftmax(self.model, sampled=0), self.model, self.z, self.target)
        sampled = IdSoftmax(self.model, sampled=400, popularity=1.0)
        sampled.proposal.tell(known())
        sampled.proposal.log_share.fill_(-math.log(IDS))
        far = torch.linalg.vector_norm(self.mean_gradient(sampled) - whole) / torch.linalg.vector_norm(whole)
        assert float(far) > 0.05

    def test_each_place_is_compared_too(self):
        whole, sampled = IdSoftmax(self.model, sampled=0), IdSoftmax(self.model, sampled=400)
        z = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(2))
        expected, weights = whole(z, self.target, torch.zeros(2))
        torch.manual_seed(0)
        drawn = torch.stack([sampled(z, self.target, torch.zeros(2))[0] for _ in range(60)]).mean(dim=0)
        torch.testing.assert_close(drawn, expected, atol=0.03, rtol=0)
        assert weights.tolist() == [[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]]


class TestAuto:
    def test_large_vocabularies_are_sampled_without_being_asked(self, monkeypatch):
        model = encoder()
        assert IdSoftmax(model).proposal is None
        monkeypatch.setattr(ids_module, "WHOLE_VOCABULARY", IDS - 1)
        assert IdSoftmax(model).sampled == ids_module.SAMPLED
        assert IdSoftmax(model, sampled=0).proposal is None
        assert IdSoftmax(model, sampled=7).sampled == 7

    def test_the_limit_is_fifty_thousand(self):
        for size, sampled in ((50_000, 0), (50_001, ids_module.SAMPLED)):
            spec = SequenceSpec(axes=("a",), patch_shape=(1,), vocabulary=(size,))
            assert IdSoftmax(build("encoder", {"name": "set", "width": 2}, spec)).sampled == sampled

    @pytest.mark.parametrize("sampled", [-1, "some", 1.5])
    def test_other_answers_are_refused(self, sampled):
        with pytest.raises(ValueError, match="auto"):
            IdSoftmax(encoder(), sampled=sampled)
