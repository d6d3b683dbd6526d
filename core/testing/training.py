"""Training: the core's own machinery at work on this adapter's patches."""

from __future__ import annotations

import tempfile
from typing import Any

import torch
from torch import Tensor

from ..batching import collate, pad
from ..blocks.encoder import Encoder
from ..blocks.registry import build
from ..data.store import WindowStore
from ..errors import InputError
from ..objective import Objective
from ..sequence import PatchSequence
from .case import Case
from .checks import check, expect, fail, need
from .compare import sequence_difference

# tiny, but as deep as targets over several layers need
ENCODER: dict[str, Any] = {"name": "transformer", "width": 16, "depth": 4, "heads": 2}
ROUNDING = 1e-4
_STEP = "check the patches for infinite values, and `augment` for what it does to them"


@check(fix="correct the patches that the checks above name")
def one_window_can_be_embedded(case: Case) -> None:
    with torch.no_grad():
        vector = _encoder(case)(case.row).pooled
    expect(
        vector.shape == (1, ENCODER["width"]) and bool(vector.isfinite().all()),
        got="an embedding that is not finite",
        expected="one vector of finite numbers",
    )


@check(fix="put everything the encoder must know into values, coords, kind and valid")
def embedding_ignores_padding_and_order(case: Case) -> None:
    batch, encoder = case.batch, _encoder(case)
    mixed = batch.patches(
        torch.randperm(batch.n_patches, generator=torch.Generator().manual_seed(0)).expand(len(batch), -1)
    )
    with torch.no_grad():
        plain, padded, turned = (encoder(b).pooled for b in (batch, _spoiled(pad(batch, batch.n_patches + 3)), mixed))
    for what, vectors in (("padding", padded), ("another order of the patches", turned)):
        worst = float((plain - vectors).abs().max())
        expect(
            worst < ROUNDING, got=f"embeddings that move by {worst:.2g} with {what}", expected="none of it to matter"
        )


@check(fix="check that the patches of different windows differ")
def embeddings_tell_windows_apart(case: Case) -> None:
    rows = [case.modality.patchify(window) for window in case.windows]
    with torch.no_grad():
        vectors = _encoder(case)(collate(rows)).pooled
    apart = torch.nn.functional.pdist(vectors)
    expect(bool((apart > 1e-6).all()), got="two windows of the example with one embedding", expected="different ones")


@check(fix=_STEP)
def jepa_step_is_finite(case: Case) -> None:
    _one_step(case, "jepa")


@check(fix=_STEP)
def mae_step_is_finite(case: Case) -> None:
    need(case.row.values is not None, "the patches carry ids")
    _one_step(case, "mae")


@check(fix=_STEP)
def masked_ids_step_is_finite(case: Case) -> None:
    need(case.row.ids is not None, "the patches carry values")
    _one_step(case, "masked-ids")


@check(fix=_STEP)
def simclr_step_is_finite(case: Case) -> None:
    _one_step(case, "simclr")


@check(fix="return float32 values and coordinates, and the same optional fields for every window")
def window_cache_gives_back_the_patches(case: Case) -> None:
    modality, source = case.modality, case.sources[0]
    rows = [modality.patchify(window) for window in modality.windows(modality.load(source))]
    rows = [row for row in rows if row.valid.any()]  # a window without any signal is not kept
    with tempfile.TemporaryDirectory() as cache:
        try:
            store = WindowStore.prepare(modality, [source], None, cache)
        except InputError as error:
            fail(got=str(error), expected="a window cache of the first demo recording")
        expect(
            len(store) == len(rows) and store.spec == modality.spec,
            got=f"{len(store)} windows in the cache",
            expected=len(rows),
        )
        for i, row in enumerate(rows):
            found = sequence_difference(store.batch([i]), row)
            expect(not found, got=f"{found} out of the window cache", expected="what `patchify` returned")


def _encoder(case: Case) -> Encoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build("encoder", ENCODER, case.modality.spec).eval()


def _one_step(case: Case, name: str) -> None:
    encoder = _encoder(case).train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        objective = Objective.from_config({"name": name}, case.modality.spec, encoder)
        objective.augment, objective.total_steps = case.modality.augment, 10
        outcome = objective(case.batch, seed=0, step=0)
    outcome.loss.backward()
    gradients = [p.grad for p in objective.parameters() if p.grad is not None]
    size = torch.stack([g.abs().max() for g in gradients]).max()
    expect(
        bool(outcome.loss.isfinite() and size.isfinite() and size > 0),
        got=f"loss {float(outcome.loss.detach()):.3g} with gradients up to {float(size):.3g} in one step of {name}",
        expected="finite numbers, not all zero",
    )


def _spoiled(batch: PatchSequence) -> PatchSequence:
    """NaN under valid=False, which must have no effect."""
    gone = (~batch.valid).unsqueeze(-1)

    def nan(field: Tensor | None) -> Tensor | None:
        return None if field is None else field.masked_fill(gone, float("nan"))

    return batch.replace(values=nan(batch.values), coords=nan(batch.coords))
