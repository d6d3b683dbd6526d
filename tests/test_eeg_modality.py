"""The EEG adapter: the contract in all its layouts, windows and labels, any montage, and what it refuses."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from eeg_kit import SITES, noise, window
from omnipatch.core.batching import collate
from omnipatch.core.blocks.registry import build
from omnipatch.core.config import DataConfig
from omnipatch.core.crop import crop
from omnipatch.core.data.sources import resolve_sources
from omnipatch.core.errors import InputError
from omnipatch.core.modality import Annotation, Recording
from omnipatch.core.testing.checks import all_checks, run_check
from omnipatch.modalities.eeg import EEG, EEGConfig
from omnipatch.modalities.eeg.demo import make_recording
from omnipatch.modalities.eeg.sites import SITES_10_20

# checks about files, labels and the demo set do not depend on the layout; test_testing_kit runs them
OF_TOKENS = [c.name for c in all_checks().values() if c.theme in ("patches", "patchify", "sensors", "augmentation",
                                                                   "maskers", "training")]  # fmt: skip
LAYOUTS = {
    "tubelets of waves and spectra": {"layout": "tubelet", "content": ("wave", "spectrum")},
    "spectra by band": {"content": ("spectrum",), "band_groups": 4, "spectrum_s": 2.5},
    "covariances": {"content": ("spectrum", "covariance")},
    "the published grid": {"layout": "grid", "window_s": 20.0, "frame_step_s": 5.0},
}
KNOWN = {
    # the last three of 19 channels fill no whole patch and are dropped, as published
    "the published grid": ("dropped_sensor_is_absent", "each_sensor_works_alone"),
    # the logarithm of a matrix belongs to the set of its electrodes
    "covariances": ("dropped_sensor_shifts_no_other",),
}


@pytest.mark.parametrize("check", OF_TOKENS)
@pytest.mark.parametrize("name", LAYOUTS)
def test_the_contract_of_tokens_holds_in_every_layout(name, check):
    outcome = run_check(EEG(EEGConfig(**LAYOUTS[name])), check)
    wanted = ("failed",) if check in KNOWN.get(name, ()) else ("passed", "skipped")
    assert outcome.state in wanted, outcome.message


def recording(seconds: float = 20.0, names=SITES_10_20, **changes) -> Recording:
    signals = 10 * noise(len(names), round(200 * seconds))
    return replace(Recording(signals, tuple(names), 200.0, "uV", "r", "s"), **changes)


class TestWindows:
    def test_they_follow_each_other_and_the_rest_is_left(self):
        windows = EEG().windows(recording(23.0))
        assert [w.start_s for w in windows] == [0.0, 5.0, 10.0, 15.0]
        assert {w.values.shape for w in windows} == {(19, 500)}
        overlapping = EEG(EEGConfig(stride_s=2.5)).windows(recording(23.0))
        assert [w.start_s for w in overlapping] == [2.5 * i for i in range(8)]

    def test_a_short_recording_is_one_short_window(self):
        (only,) = EEG().windows(recording(3.0))
        assert only.values.shape == (19, 300)

    def test_too_short_is_one_sentence(self):
        with pytest.raises(InputError, match=r"r: recording is too short, got 0\.100 s, expected at least 0\.5 s"):
            EEG().windows(recording(0.1))

    def test_another_unit_is_one_sentence(self):
        with pytest.raises(InputError, match="wrong unit, got V, expected uV"):
            EEG().windows(recording(unit="V"))

    def test_an_unknown_channel_alone_names_the_nearest(self):
        with pytest.raises(InputError, match="unknown EEG channel"):
            EEG().windows(recording(names=("Fpq",)))

    def test_the_difference_of_recordings_is_kept(self):
        """Standardising each recording would erase a class that is a recording."""
        quiet = recording()
        loud = replace(quiet, signals=3 * quiet.signals)
        a, b = (EEG().windows(r)[0].values for r in (quiet, loud))
        np.testing.assert_allclose(b, 3 * a, rtol=1e-4, atol=1e-4)


class TestLabels:
    def test_of_the_recording(self):
        windows = EEG().windows(recording(label=("task", "good")), "rest-task")
        assert {w.label for w in windows} == {("task",)}

    def test_of_spans_where_there_are_any(self):
        spans = (Annotation(0.0, "rest", 7.0), Annotation(7.0, "task", 8.0))
        windows = EEG().windows(recording(label=("rest",), annotations=spans), "rest-task")
        assert [w.label for w in windows] == [("rest",), ("task",), ("task",), ()]

    def test_trials_begin_at_their_onset(self):
        spans = tuple(Annotation(at, "task", 4.0) for at in (1.2, 8.0, 17.0))
        eeg = EEG(EEGConfig(trials=True, trial_offset_s=0.5, window_s=3.0))
        windows = eeg.windows(recording(annotations=spans), "rest-task")
        assert [w.start_s for w in windows] == pytest.approx([1.7, 8.5])
        assert {w.label for w in windows} == {("task",)}

    def test_a_trial_is_of_its_own_class(self):
        """A long span and a second one of another class reach into it, and one begins with it."""
        spans = (Annotation(0.0, "rest", 20.0), Annotation(4.0, "task", 1.0), Annotation(4.0, "rest", 0.5))
        windows = EEG(EEGConfig(trials=True)).windows(recording(annotations=spans), "rest-task")
        assert [(w.start_s, w.label) for w in windows] == [(0.0, ("rest",)), (4.0, ("task",))]

    def test_a_second_counts_once_however_many_channels_mark_it(self):
        """Two thirds of the window are of one class, two short overlapping spans and a third inside of another."""
        marked = ((3.2, 1.8), (3.2, 1.7), (3.5, 1.0), (3.1, 1.9))
        spans = (Annotation(0.0, "rest", 3.5), *(Annotation(at, "task", length) for at, length in marked))
        windows = EEG().windows(recording(annotations=spans), "rest-task")
        assert [w.label for w in windows] == [("rest",), (), (), ()]

    def test_parts_of_one_class_add_up(self):
        spans = tuple(Annotation(at, "task", 1.5) for at in (0.0, 1.0, 3.0))
        windows = EEG().windows(recording(annotations=spans), "rest-task")
        assert [w.label for w in windows] == [("task",), (), (), ()]

    def test_classes_may_follow_the_type_of_a_marker(self):
        spans = (Annotation(0.0, "Comment/rest", 5.0), Annotation(5.0, "Stimulus/task", 5.0))
        typed = recording(annotations=spans, extras={"typed_marks": True})
        assert [w.label for w in EEG().windows(typed, "rest-task")] == [("rest",), ("task",), (), ()]
        untyped = EEG().windows(recording(annotations=spans), "rest-task")
        assert [w.label for w in untyped] == [()] * 4, "a slash means nothing elsewhere"

    def test_stages_of_sleep_may_have_the_names_of_edf_plus(self):
        texts = ("Sleep stage W", "Sleep stage N2", "Sleep stage 4", "Sleep stage R")
        night = recording(annotations=tuple(Annotation(5.0 * i, text, 5.0) for i, text in enumerate(texts)))
        assert [w.label for w in EEG().windows(night, "sleep-stage")] == [("W",), ("N2",), ("N3",), ("REM",)]

    def test_trials_without_a_class_say_what_marks_there_are(self):
        odd = recording(annotations=(Annotation(0.0, "eyes shut", 5.0),))
        with pytest.raises(InputError, match="no marked stretch is a trial, got eyes shut, expected rest, task"):
            EEG(EEGConfig(trials=True)).windows(odd, "rest-task")


class TestHandFeatures:
    def test_a_task_brings_those_of_the_config(self):
        assert EEG().windows(recording())[0].hand is None
        sizes = {"bands": 6 * 19, "fine-bands": 32 * 19, "log-covariance": 6 * 190}
        for sets in (("bands",), ("fine-bands", "log-covariance")):
            (window, *_) = EEG(EEGConfig(hand=sets)).windows(recording(label=("rest",)), "rest-task")
            assert window.hand is not None
            assert window.hand.shape == (sum(sizes[name] for name in sets),)
            assert np.isfinite(window.hand).all()

    def test_there_may_be_none(self):
        assert EEG(EEGConfig(hand=())).windows(recording(), "rest-task")[0].hand is None


class TestMontages:
    def test_a_measured_position_is_enough(self):
        names, positions = ("input A1", "input A2"), {"input A1": (0.0, 0.6, 0.8), "input A2": (0.6, 0.0, 0.8)}
        odd = recording(names=names, extras={"positions": positions})
        eeg = EEG()
        tokens = eeg.patchify(eeg.windows(odd)[0])
        torch.testing.assert_close(tokens.coords[0, 0, 1:], torch.tensor([0.0, 0.6, 0.8]))
        assert tokens.n_patches == 20

    @pytest.mark.parametrize("layout", ["electrode", "tubelet"])
    def test_one_network_embeds_all_of_them_together(self, layout):
        eeg = EEG(EEGConfig(layout=layout, content=("wave", "spectrum")))
        rows = [eeg.patchify(window(names, seed=i)) for i, names in enumerate((SITES_10_20, SITES[:64], ("Cz", "Pz")))]
        encoder = build("encoder", {"name": "transformer", "width": 16, "depth": 2, "heads": 2}, eeg.spec).eval()
        with torch.no_grad():
            together = encoder(collate(rows)).pooled
            alone = torch.cat([encoder(row).pooled for row in rows])
        torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)

    def test_bipolar_channels_stand_between_their_ends(self):
        eeg = EEG()
        tokens = eeg.patchify(eeg.windows(recording(names=("Fp1-F7", "F7-T7")))[0])
        assert tokens.coords[0, :, 1:].norm(dim=-1).min() > 0.99
        assert len(tokens.group.unique()) == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"content": ("waves",)}, "did you mean 'wave'"),
        ({"content": ()}, "unknown content"),
        ({"layout": "grid", "content": ("spectrum",)}, "the grid holds waves only"),
        ({"window_s": 0.0}, "must be positive"),
        ({"window_s": 2.0, "patch_s": 4.0, "spectrum_s": 1.0}, "a token is longer than a window"),
        ({"band_groups": 5}, "do not divide evenly"),
        ({"hand": ("band",)}, "did you mean 'bands'"),
        ({"lose_electrodes": 1.0}, r"must lie in \[0, 1\)"),
        ({"sfreq_hz": 0.0}, "must be positive"),
    ],
)
def test_bad_settings_are_one_sentence(options, words):
    with pytest.raises(InputError, match=words):
        EEGConfig(**options)


def test_an_unknown_site_names_the_nearest():
    with pytest.raises(InputError, match=r"unknown EEG channel.*Cz"):
        EEG(EEGConfig(layout="tubelet", sites=("Cq", "Pz")))


@pytest.mark.real_data
def test_windows_of_eegmat_are_those_of_its_description():
    eeg = EEG(EEGConfig(content=("spectrum",), hand=()))
    counts: Counter[str] = Counter()
    for source in resolve_sources(eeg, DataConfig(name="eegmat")):
        windows = eeg.windows(eeg.load(source), "rest-task")
        counts.update(w.label[0] for w in windows)
        tokens = eeg.patchify(windows[0])
        assert tokens.n_patches == 19
        assert tokens.valid.all()
    assert counts == {"rest": 1007, "task": 336}


@pytest.mark.parametrize(
    ("scale", "reject_uv", "why"),
    [(0.0, 500.0, "Fp1: flat"), (1e6, 500.0, "Fp1: typical range of"), (1.0, 1.0, "artefacts")],
)
def test_a_recording_of_which_all_is_rejected_says_why(scale, reject_uv, why):
    recording = EEG().example(np.random.default_rng(0))
    recording = replace(
        recording, signals=scale * recording.signals, extras={**recording.extras, "unknown_channels": {"E9": "unknown"}}
    )
    with pytest.raises(InputError, match=f"no signal is left.*{why}.*; 1 channels without a known place, such as E9"):
        EEG(EEGConfig(reject_uv=reject_uv)).windows(recording)


def test_what_is_too_short_for_a_token_says_how_long_it_must_be():
    short = crop(EEG().example(np.random.default_rng(0)), 0.0, 2.0)
    with pytest.raises(InputError, match=r"too short, got 2\.000 s, expected at least 2\.5 s"):
        EEG(EEGConfig(content=("profile",))).windows(short)
    assert EEG().windows(short), "waves need no more than half a second"


def test_quality_says_what_the_file_says():
    made = make_recording(np.random.default_rng(0))
    extras = {"bad_channels": ("Cz",), "unknown_channels": {"XX": "unknown channel"}}
    found = EEG().quality(replace(made, extras=extras))
    assert found == {"Cz": "marked bad in the file", "XX": "unknown channel"}
    belts = {f"Belt {i}": "unknown channel" for i in range(20)}
    found = EEG().quality(replace(made, extras={"unknown_channels": belts}))
    assert found == {"Belt 0, Belt 1, Belt 2 and 17 more": "channels without a known place"}
