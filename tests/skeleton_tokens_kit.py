"""What the tests of skeleton preprocessing, tokens and views share: people with a known stance and movement."""

from __future__ import annotations

import numpy as np
import torch
from omnipatch.core.batching import collate
from omnipatch.core.modality import Recording
from omnipatch.core.rng import RowRandom
from omnipatch.core.sequence import PatchSequence
from omnipatch.modalities.skeleton.modality import Skeleton
from omnipatch.modalities.skeleton.vocabulary import VOCABULARY, split_sensor

_PAIRED = ("collar", "shoulder", "elbow", "wrist", "hand", "hip", "knee", "ankle", "foot")
JOINTS = ("pelvis", "spine", "chest", "neck", "head", *(f"{side}_{n}" for side in ("left", "right") for n in _PAIRED))


def turn_about(axis: int, angle: float) -> np.ndarray:
    """[3, 3] about x (0), y (1) or z (2)."""
    c, s = np.cos(angle), np.sin(angle)
    a, b = [(1, 2), (2, 0), (0, 1)][axis]
    matrix = np.eye(3)
    matrix[a, a], matrix[a, b], matrix[b, a], matrix[b, b] = c, -s, s, c
    return matrix


def standing(sensors: tuple[str, ...] = JOINTS, frames: int = 48) -> np.ndarray:
    """[sensor, 3, frame] of the standard person; a second person stands a metre and a half to the left."""
    named = [split_sensor(sensor) for sensor in sensors]
    places = np.array([np.add(VOCABULARY[joint].place, (1.5 * person, 0.0, 0.0)) for joint, person in named])
    return np.repeat(places[..., None], frames, axis=-1).astype(np.float32)


def moving(sensors: tuple[str, ...] = JOINTS, frames: int = 48, seed: int = 0) -> np.ndarray:
    """`standing` with slow random movement of every joint of its own, up to about 10 cm."""
    rng, t = np.random.default_rng(seed), np.arange(frames) / 30.0
    size, speed, phase = rng.normal(0, 0.05, (3, len(sensors), 3, 1))
    return (standing(sensors, frames) + size * np.sin(2 * np.pi * (1 + speed) * t + 60 * phase)).astype(np.float32)


def recording(signals: np.ndarray, sensors: tuple[str, ...] = JOINTS, sfreq_hz: float = 30.0, **more) -> Recording:
    return Recording(np.asarray(signals, np.float32), sensors, sfreq_hz, more.pop("unit", "m"), "r", "s", **more)


def batch_of(skeleton: Skeleton, clips: list[Recording]) -> PatchSequence:
    """The first window of each, with ids."""
    rows = collate([skeleton.patchify(skeleton.windows(clip)[0]) for clip in clips])
    return rows.replace(window=7 * torch.arange(len(rows)) + 3)


def randomness(batch: PatchSequence, step: int = 0) -> RowRandom:
    return RowRandom(0, step, batch.window)
