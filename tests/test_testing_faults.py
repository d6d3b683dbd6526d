"""Each check of the conformance kit finds the fault that was planted for it, and no other check does."""

from __future__ import annotations

import re

import faults_ranking_kit  # noqa: F401 - plants those of rankings
import faults_use_kit  # noqa: F401 - plants the second half
import pytest
import torch
from faults_signal_kit import ALL_THAT_BATCH, FAULTS
from omnipatch.core.blocks import encoder
from omnipatch.core.testing import check_names
from omnipatch.core.testing.checks import run_check
from omnipatch.core.testing.kit import instance
from omnipatch.modalities.recommender import Recommender
from testing_kit import Hum

# the core keeps these promises, an adapter cannot break one alone
HELD_BY_CORE = {
    "one_window_can_be_embedded",
    "embedding_ignores_padding_and_order",
    "jepa_step_is_finite",
    "mae_step_is_finite",
    "masked_ids_step_is_finite",
    "simclr_step_is_finite",
}


def test_every_check_has_a_fault():
    assert set(check_names()) - set(FAULTS) == HELD_BY_CORE


@pytest.mark.parametrize("check", FAULTS)
def test_fault_is_found_by_its_check_alone(check):
    modality, expected = FAULTS[check]
    outcomes = [run_check(instance(modality), name) for name in check_names() if name not in HELD_BY_CORE]
    failed = {outcome.name: outcome.message for outcome in outcomes if outcome.state == "failed"}
    assert (check in failed) if ALL_THAT_BATCH in expected else (set(failed) == expected), failed
    for message in failed.values():
        assert re.fullmatch(r"got .+, expected .+; .+", message), message


@pytest.mark.parametrize("check", sorted(HELD_BY_CORE))
def test_check_of_the_core_is_not_empty(check, monkeypatch):
    """An encoder that reads list positions and overflows is found."""

    def positional_mean(tokens, valid):
        weight = torch.arange(1.0, tokens.shape[1] + 1)[None, :, None]
        mean = (tokens * weight).sum(dim=1)
        return mean if check.startswith("embedding") else mean / 0.0

    monkeypatch.setattr(encoder, "masked_mean", positional_mean)
    if check.startswith(("jepa", "mae")):  # they learn from tokens, not from the mean

        def overflow(self, values, ids, kind, valid):
            return self.project(values) / 0.0

        monkeypatch.setattr(encoder.PatchEmbedding, "forward", overflow)
    outcome = run_check(Recommender() if "ids" in check else Hum(), check)
    assert outcome.state == "failed"
    assert re.fullmatch(r"got .+, expected .+; .+", outcome.message)
