"""One window as the objective sees it: what is hidden, its augmented views, what a decoder makes of the hidden part.

The window comes from a validation subject where there is one, because on a training window a decoder may only
remember. Reconstructions exist for objectives that predict the signal itself (masked autoencoding); they are drawn
with each patch's own mean and size where the target was standardised, as in He et al. 2021.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import OmnipatchError
from ..signals import mean_of_present

if TYPE_CHECKING:
    import torch

    from ..blocks.signal_targets import RawPatches
    from ..blocks.views import ViewSampler
    from ..known import KnownIds
    from ..objective import Objective
    from ..prepared import Prepared
    from ..sequence import PatchSequence
    from ..settings import Settings

_VIEWS = 2  # augmented views drawn over the window
LEFT_OUT, SEEN, ASKED = 0, 1, 2  # states of a patch in a view


def window_arrays(settings: Settings, prepared: Prepared, checkpoints: Path) -> dict[str, np.ndarray]:
    """Arrays `window_*` of one window.

    When the last checkpoint's objective predicts the signal: `window_reconstruction` [sensor, sample], or where patches
    do not give a signal back, `window_target` and `window_predicted` [hidden, value] of the patches `window_patch`
    [hidden], beside `window_seen_mean` [value].
    """
    from ..compose import resolve_objective
    from ..rng import RowRandom

    store, split, modality = prepared.store, prepared.splits[0], settings.modality
    sides = [split.windows(store, side) for side in ("validation", "train")]
    windows = next((side for side in sides if len(side)), None)
    if windows is None:
        return {}
    batch = store.batch(windows[[len(windows) // 2]])
    rng = RowRandom(settings.recipe.seed, 0, batch.window)
    arrays: dict[str, np.ndarray] = {
        "window_spec": np.array(json.dumps({"axes": batch.spec.axes, "scales": batch.spec.axis_scales})),
        "window_coords": batch.coords[0].numpy(),
        "window_valid": batch.valid[0].numpy(),
    }
    shown, known = [batch], prepared.modality.known_of_ids()
    for name, options in resolve_objective(settings.recipe.objective)["views"].items():
        view = _sampler(name, options or {}, known)(batch, rng, modality.augment)
        if view.targets is not None:
            arrays["window_hidden"] = view.targets.index[0][view.targets.valid[0]].numpy()
            break
        if options and options.get("augment"):
            shown.append(view.batch)
    for i, version in enumerate(shown[: 1 + _VIEWS]):
        signal = _signal(settings, version)
        if signal is not None:
            arrays[f"window_signal_{i}"] = signal
    if "window_signal_0" not in arrays and batch.values is not None:
        arrays["window_values"] = batch.values[0].numpy()
    objective = _trained_objective(settings, prepared, checkpoints)
    rebuilt = None
    if objective is not None and batch.values is not None:
        rebuilt = _reconstruction(objective, batch, settings.recipe.seed)
    signal = None if rebuilt is None else _signal(settings, rebuilt)
    if signal is not None:
        arrays["window_reconstruction"] = signal
    elif rebuilt is not None:
        assert rebuilt.values is not None
        arrays |= {"window_rebuilt": rebuilt.values[0].numpy(), **_hidden_values(batch, rebuilt)}
    return arrays


def view_states(
    objective: Mapping[str, Any], batch: PatchSequence, seed: int = 0, known: KnownIds | None = None
) -> dict[str, np.ndarray]:
    """{view: [row, patch] int} what each masked view of a composition makes of the patches of a batch.

    SEEN by the encoder, ASKED for (to be predicted), or LEFT_OUT of this view. `objective`: options as in a recipe.
    known: of ids, for masks that look at it.
    """
    from ..compose import resolve_objective
    from ..rng import RowRandom

    found = {}
    rng, one_each = RowRandom(seed, 0, batch.window), np.arange(len(batch))[:, None]
    for name, options in resolve_objective(objective)["views"].items():
        if not (options or {}).get("mask"):
            continue
        view = _sampler(name, {"mask": options["mask"]}, known)(batch, rng, None)
        states = np.full(batch.valid.shape, LEFT_OUT)
        for state, chosen in ((SEEN, view.visible), (ASKED, view.targets)):
            if chosen is not None:  # further masks of a window stand behind the first of each
                index, valid = chosen.index[: len(batch)].numpy(), chosen.valid[: len(batch)].numpy()
                states[np.broadcast_to(one_each, index.shape)[valid], index[valid]] = state
        found[name] = states
    return found


def _sampler(name: str, options: Mapping[str, Any], known: KnownIds | None) -> ViewSampler:
    """A view of a composition, told what is known of ids. Windows to mix with are known while training alone."""
    from ..blocks.views import ViewSampler

    sampler = ViewSampler(name, **{**options, "mix": None})
    if known is not None:
        sampler.tell(known)
    return sampler


def _signal(settings: Settings, batch: PatchSequence) -> np.ndarray | None:
    """[sensor, sample] of the first row, where patches can be undone into sensors over time."""
    try:
        signal = settings.modality.unpatchify(batch)[0]
    except NotImplementedError:
        return None
    return np.asarray(signal, np.float32) if np.ndim(signal) == 2 else None


def _trained_objective(settings: Settings, prepared: Prepared, checkpoints: Path) -> Objective | None:
    """The last checkpoint's objective; None when there is none that fits, because a picture is no reason to fail."""
    from ..objective import Objective
    from ..train.checkpoint import AtomicCheckpointIO, last_checkpoint
    from ..train.model_io import fresh_encoder, load_strictly

    recipe, spec = settings.recipe, prepared.store.spec
    try:
        last = last_checkpoint(checkpoints)
        if last is None:
            return None
        state = AtomicCheckpointIO().load_checkpoint(last[1])["state_dict"]
        objective = Objective.from_config(recipe.objective, spec, fresh_encoder(recipe.encoder, spec, recipe.seed))
        own = {key.removeprefix("objective."): value for key, value in state.items() if key.startswith("objective.")}
        load_strictly(objective, own, last[1])
    except OmnipatchError:
        return None
    objective.augment = settings.modality.augment
    for view in objective.views.values():
        view.mix = None  # as in `_sampler`
    return objective.eval()


def _reconstruction(objective: Objective, batch: PatchSequence, seed: int) -> PatchSequence | None:
    """The batch with predicted values at hidden patches and NaN elsewhere; None when no term predicts the signal."""
    import torch

    from ..blocks.signal_targets import RawPatches
    from ..rng import RowRandom
    from ..scope import Scope

    assert batch.values is not None
    for term in objective.terms:
        target = objective.targets[term.target]
        if not isinstance(target, RawPatches) or term.site != "target" or term.source != term.target_view:
            continue
        if target.normalize == "window":
            continue  # a patch alone does not say what was taken off it
        scope = Scope(objective, batch, RowRandom(seed, 0, batch.window))
        with torch.no_grad():
            predicted = scope.predict(term.source, term.heads, term.site).values[0].float()
        chosen = scope.index(term.source, term.site)
        assert chosen is not None
        # the signal is what patches of the first kind hold
        kept = chosen.valid[0] & (batch.kind[0][chosen.index[0]] == 0)
        place, shape = chosen.index[0][kept], batch.spec.shape_of(0)
        size = math.prod(shape)
        values = torch.full_like(batch.values, torch.nan)
        values[0, place, :size] = _undo(target, batch.values[0, place, :size], predicted[kept, :size], shape)
        return batch.replace(values=values)
    return None


def _hidden_values(batch: PatchSequence, rebuilt: PatchSequence) -> dict[str, np.ndarray]:
    """Values of the first sensor of each hidden patch: true, predicted, and the mean of those that were seen."""
    assert batch.values is not None
    assert rebuilt.values is not None
    size = batch.spec.shape_of(0)[-1]
    true, predicted = batch.values[0, :, :size].numpy(), rebuilt.values[0, :, :size].numpy()
    own = (batch.valid[0] & (batch.kind[0] == 0)).numpy() & np.isfinite(true).any(axis=1)
    hidden = own & np.isfinite(predicted).any(axis=1)
    if not hidden.any() or not (own & ~hidden).any():
        return {}
    found = {"window_target": true[hidden], "window_predicted": predicted[hidden]}
    return found | {"window_patch": np.flatnonzero(hidden), "window_seen_mean": mean_of_present(true[own & ~hidden])}


def _undo(
    target: RawPatches, true: torch.Tensor, predicted: torch.Tensor, patch_shape: tuple[int, ...]
) -> torch.Tensor:
    """Predicted values in the signal's unit; not measured stays not measured."""
    shaped, answer = true.reshape(-1, *patch_shape), predicted.reshape(-1, *patch_shape)
    axes = {"sensor": (-1,), "patch": tuple(range(1, shaped.ndim))}.get(target.normalize)
    if axes is not None:
        mean = shaped.nanmean(dim=axes, keepdim=True)
        size = ((shaped - mean).square().nanmean(dim=axes, keepdim=True) + target.eps).sqrt()
        answer = answer * size + mean
    return answer.masked_fill(shaped.isnan(), float("nan")).reshape(true.shape)
