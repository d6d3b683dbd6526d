"""Baselines: whose recordings they are, what is taken off, and that the minute that is known is not judged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from omnipatch.core.errors import InputError
from omnipatch.modalities.eeg.baseline import KNOWN, OWN_S, SOURCES, with_baselines
from omnipatch.modalities.eeg.modality import EEG, EEGConfig

SHORT = {"baseline": "reference", "baseline_s": 10.0, "content": ("spectrum",)}


def eeg(**settings) -> EEG:
    return EEG(EEGConfig(**{**SHORT, **settings}))


def of(sources, record):
    return next(source for source in sources if source.record == record)


def test_the_reference_is_the_beginning_of_the_persons_own_rest():
    sources = eeg().relate(eeg().demo())
    rest, task = of(sources, "demo03_rest"), of(sources, "demo03_task")
    for source in (rest, task):
        (reference,) = source.extras[SOURCES]
        assert (reference.record, reference.start_s, reference.stop_s) == ("demo03_rest", 0.0, 10.0)
    assert rest.extras[OWN_S] == 10.0
    assert OWN_S not in task.extras


@pytest.mark.parametrize(("kind", "count"), [("subject", 2), ("site", 48)])
def test_people_and_sites_are_their_own_baseline_without_labels(kind, count):
    modality = eeg(baseline=kind)
    hidden = [replace(source, label=()) for source in modality.demo()]
    sources = with_baselines(hidden, kind, "rest", 10.0)
    assert all(len(source.extras[SOURCES]) == count and OWN_S not in source.extras for source in sources)
    assert "transductive" in modality.stamp


def test_what_is_known_is_not_judged_and_the_rest_is_relative_to_it():
    modality = eeg(hand=("fine-bands",))
    rest = modality.load(of(modality.relate(modality.demo()), "demo00_rest"))
    plain = EEG(EEGConfig(content=("spectrum",), hand=("fine-bands",)))
    before = plain.windows(plain.load(of(plain.demo(), "demo00_rest")), "rest-task")
    after = modality.windows(rest, "rest-task")
    assert [w.start_s for w in before] == [0, 5, 10, 15, 20, 25]
    assert [w.start_s for w in after] == [10, 15, 20, 25]
    known = np.mean([w.hand for w in before[:2]], axis=0)
    # the reference is cut before it is filtered, so the last of its seconds differ a little
    assert np.abs(after[0].hand - (before[2].hand - known)).mean() < 0.01 < np.abs(known).mean()
    values = [m.patchify(w).values for m, w in ((plain, before[2]), (modality, after[0]))]
    mean = np.mean([plain.patchify(w).values.numpy() for w in before[:2]], axis=0)
    assert np.abs(values[1].numpy() - (values[0].numpy() - mean)).mean() < 0.01


def test_a_gain_of_a_person_disappears_and_a_change_stays():
    """All of one person's recordings twice as loud: nothing changes. Their task alone: the whole spectrum rises."""
    modality = eeg()
    sources = modality.relate(modality.demo())
    task = modality.load(of(sources, "demo05_task"))
    doubled = replace(task, signals=2 * task.signals)
    tokens = [modality.patchify(modality.windows(r)[0]).values.numpy() for r in (task, doubled)]
    np.testing.assert_allclose(tokens[1] - tokens[0], 2 * np.log(2), atol=1e-2)


def test_waves_can_be_divided_by_the_spread_of_the_baseline():
    modality = eeg(content=("wave",), scaling="baseline")
    rest = modality.load(of(modality.relate(modality.demo()), "demo00_rest"))
    values = np.concatenate([w.values for w in modality.windows(rest)], axis=1)
    np.testing.assert_allclose(np.median(values.std(axis=1)), 1.0, atol=0.25)


def test_a_recording_without_a_baseline_says_so():
    modality = eeg()
    lonely = [replace(s, label=("task",)) for s in modality.demo()[:2]]
    recording = modality.load(modality.relate(lonely)[0])
    assert KNOWN not in recording.extras
    with pytest.raises(InputError, match="baseline of this recording is not known") as error:
        modality.windows(recording)
    assert "labelled rest" in str(error.value)
    assert "name it: modality.baseline_label" in str(error.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"content": ("wave",)}, "waves are relative"),
        ({"baseline": "none", "scaling": "baseline"}, "no baseline to scale by"),
        ({"baseline_s": 0.0}, "must be positive"),
    ],
)
def test_settings_without_effect_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        eeg(**settings)
