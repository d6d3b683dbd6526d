"""The embedded demo set: synthetic patients who do four exercises, correctly or with a fault, in front of a camera.

A person's proportions, tempo, range and posture differ more between people than between good and bad repetitions, so
that a score means something only for people who were not trained on. Some joints are lost, and now and then a second
person stands in the picture.
"""

from __future__ import annotations

import numpy as np

from ...core.modality import Recording, Source
from .exercises import perform
from .performer import JOINTS, draw_performer, face_camera, look, pose_angles, stand
from .tasks import EXERCISES, QUALITIES
from .vocabulary import sensor_name

DEMO_HZ = 30.0
DEMO_EXERCISES = ("deep_squat", "hurdle_step", "sit_to_stand", "shoulder_abduction")
_SUBJECTS, _REPETITIONS = 16, 2
_ACCOMPANIED = 0.12  # share of clips with a second person


def make_recording(
    rng: np.random.Generator,
    exercise: str | None = None,
    quality: str | None = None,
    take: int = 0,
    accompanied: bool | None = None,
    sfreq_hz: float = DEMO_HZ,
) -> Recording:
    """A synthetic repetition of an exercise in metres, a pure function of its arguments; None = drawn.

    rng: makes the person first, so that equal generators with different exercises, qualities or takes are one person.
    accompanied: whether a second person is in the picture.
    Returns signals [sensor, 3, frame], lost joints NaN, labels (exercise, quality).
    """
    performer = draw_performer(rng)
    drawn_exercise, drawn_quality = str(rng.choice(DEMO_EXERCISES)), str(rng.choice(QUALITIES))
    exercise, quality = exercise or drawn_exercise, quality or drawn_quality
    # randomness of its own for each repetition, whatever the generator was used for before
    chosen = [EXERCISES.index(exercise), QUALITIES.index(quality), take]
    own = np.random.default_rng([*chosen, *rng.integers(0, 2**32, 2).tolist()])
    company = own.random() < _ACCOMPANIED
    company = company if accompanied is None else accompanied
    degrees, weight = perform(own, performer, exercise, quality == QUALITIES[0], sfreq_hz)
    people = [face_camera(own, look(own, performer, stand(performer, degrees, weight)))]
    if company:
        people.append(_bystander(own, len(degrees), sfreq_hz))
    return Recording(
        signals=np.concatenate(people, axis=1).transpose(1, 2, 0).astype(np.float32),
        sensors=tuple(sensor_name(joint, person) for person in range(len(people)) for joint in JOINTS),
        sfreq_hz=sfreq_hz,
        unit="m",
        record="example",
        subject="example",
        label=(exercise, quality),
    )


def demo_sources(seed: int) -> list[Source]:
    """Every person does each of four exercises, correctly and not, twice."""
    return [
        Source(
            None, f"demo{i:02d}_{exercise}_{quality}_{take}", f"demo{i:02d}", "demo", label=(exercise, quality),
            seed=seed * 1000 + i, extras={"exercise": exercise, "quality": quality, "take": take},
        )
        for i in range(_SUBJECTS)
        for exercise in DEMO_EXERCISES
        for quality in QUALITIES
        for take in range(_REPETITIONS)
    ]  # fmt: skip


def open_demo(source: Source) -> Recording:
    """The recording of a source without a file: its seed makes the person, its extras say what is done. The extras and
    not its labels, which unlabelled additions to pretraining have lost."""
    names = ("exercise", "quality", "take")
    return make_recording(
        np.random.default_rng(source.seed), **{name: source.extras[name] for name in names if name in source.extras}
    )


def _bystander(rng: np.random.Generator, frames: int, sfreq_hz: float) -> np.ndarray:
    """[frame, joint, 3] of someone who stands beside, sways, lifts an arm, and may be seen for a part of the time."""
    performer, time_s = draw_performer(rng), np.arange(frames) / sfreq_hz
    swaying = pose_angles({"spine": (3, 0, 2), "left_shoulder": (-25, 0, 0), "left_elbow": (-40, 0, 0)})
    wave = np.sin(2 * np.pi * rng.uniform(0.15, 0.4) * time_s + rng.uniform(0, 2 * np.pi))
    places = stand(performer, wave[:, None, None] * swaying, np.full((frames, 2), 0.5))
    seen = face_camera(rng, look(rng, performer, places), float(rng.choice((-1.0, 1.0)) * rng.uniform(0.9, 1.2)))
    seen[: int(rng.integers(0, max(1, frames // 2)))] = np.nan
    return seen
