"""Patches of ECG leads: round trip, coordinates, validity, groups, for any lead subset, order, rate and length."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from ecg_kit import STANDARD_LEADS, adapter, patient
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.batching import collate, pad
from omnipatch.core.errors import InputError
from omnipatch.core.modality import Window
from omnipatch.modalities.ecg.leads import PLACES

PATCH = 12  # samples a patch of the default configuration: 0.1 s at 120 Hz

SUBSETS = st.lists(st.sampled_from(STANDARD_LEADS), min_size=1, max_size=12, unique=True)
SAMPLES = st.integers(1, 200)


def _window(sensors, samples, seed=0, gaps=()):
    values = np.random.default_rng(seed).normal(size=(len(sensors), samples)).astype(np.float32)
    for lead, start, stop in gaps:
        values[lead % len(sensors), start:stop] = np.nan
    return Window(values, tuple(sensors), 120.0, 0.0, "r", "s")


def _expected(window: Window, order) -> np.ndarray:
    """Leads in the given order over whole patches, NaN for what the window does not have."""
    n = -(-window.values.shape[1] // PATCH)
    rows = np.full((len(order), n * PATCH), np.nan, np.float32)
    for row, name in enumerate(order):
        if name in window.sensors:
            rows[row, : window.values.shape[1]] = window.values[window.sensors.index(name)]
    return rows


@given(sensors=SUBSETS, samples=SAMPLES)
@settings(max_examples=60, deadline=None)
def test_joint_patches_come_back_as_the_signal(sensors, samples):
    ecg, window = adapter(), _window(sensors, samples)
    patches = ecg.patchify(window)
    assert patches.n_patches == -(-samples // PATCH)
    assert patches.valid.all()
    (signal,) = ecg.unpatchify(patches)
    np.testing.assert_array_equal(signal, _expected(window, STANDARD_LEADS))


@given(sensors=SUBSETS, samples=SAMPLES)
@settings(max_examples=60, deadline=None)
def test_lead_patches_come_back_as_the_leads_in_standard_order(sensors, samples):
    ecg, window = adapter(tokens="lead"), _window(sensors, samples)
    patches = ecg.patchify(window)
    n = -(-samples // PATCH)
    assert patches.n_patches == n * len(sensors)
    (signal,) = ecg.unpatchify(patches)
    expected = _expected(window, [name for name in STANDARD_LEADS if name in sensors])
    # a last patch of which less than half was recorded is not a token
    if samples % PATCH and 2 * (samples % PATCH) < PATCH:
        expected[:, (n - 1) * PATCH :] = np.nan
    np.testing.assert_array_equal(signal, expected)


@given(
    sensors=SUBSETS, samples=SAMPLES, order=st.randoms(use_true_random=False), tokens=st.sampled_from(["joint", "lead"])
)
@settings(max_examples=60, deadline=None)
def test_the_order_of_leads_changes_no_patch(sensors, samples, order, tokens):
    ecg, window = adapter(tokens=tokens), _window(sensors, samples)
    places = list(range(len(sensors)))
    order.shuffle(places)
    turned = Window(window.values[places], tuple(sensors[i] for i in places), 120.0, 0.0, "r", "s")
    a, b = ecg.patchify(window), ecg.patchify(turned)
    for name in ("coords", "valid", "group", "kind"):
        assert getattr(a, name).equal(getattr(b, name)), name
    assert torch.equal(a.values.nan_to_num(9e9), b.values.nan_to_num(9e9))


@given(
    rows=st.lists(st.tuples(SUBSETS, SAMPLES), min_size=1, max_size=5),
    extra=st.integers(0, 30),
    tokens=st.sampled_from(["joint", "lead"]),
)
@settings(max_examples=60, deadline=None)
def test_padding_changes_nothing_that_comes_back(rows, extra, tokens):
    ecg = adapter(tokens=tokens)
    sequences = [ecg.patchify(_window(sensors, samples, seed)) for seed, (sensors, samples) in enumerate(rows)]
    batch = collate(sequences)
    batch = pad(batch, batch.n_patches + extra)
    together = ecg.unpatchify(batch)
    for one, sequence in zip(together, sequences, strict=True):
        np.testing.assert_array_equal(one, ecg.unpatchify(sequence)[0])


def test_a_lead_is_told_from_padding_even_when_it_is_lead_one():
    ecg = adapter(tokens="lead")
    sequence = ecg.patchify(_window(["I", "V6"], 60))
    padded = pad(sequence, 30)
    assert (padded.group[0, 10:] == 0).all()
    np.testing.assert_array_equal(ecg.unpatchify(padded)[0], ecg.unpatchify(sequence)[0])


def test_chosen_patches_come_back_in_their_place():
    for tokens in ("joint", "lead"):
        ecg = adapter(tokens=tokens)
        window = _window(["II", "V1"], 60)
        sequence = ecg.patchify(window)
        keep = torch.tensor([[sequence.n_patches - 1, 1]])
        (some,), (whole,) = ecg.unpatchify(sequence.patches(keep)), ecg.unpatchify(sequence)
        known = np.isfinite(some)
        assert known.any()
        assert some.shape == whole.shape
        np.testing.assert_array_equal(some[known], whole[known])


def test_coordinates_are_seconds_and_directions():
    window = _window(["V1", "aVR"], 36)
    joint = adapter().patchify(window)
    np.testing.assert_allclose(joint.coords[0, :, 0], [0.05, 0.15, 0.25], atol=1e-6)
    lead = adapter(tokens="lead").patchify(window)
    assert lead.spec.axes == ("time_s", "x", "y", "z", "residual")
    np.testing.assert_allclose(lead.coords[0, :3, 1:4], np.tile(PLACES["aVR"], (3, 1)), atol=1e-6)
    np.testing.assert_allclose(lead.coords[0, 3:, 1:4], np.tile(PLACES["V1"], (3, 1)), atol=1e-6)
    np.testing.assert_allclose(lead.coords[0, :, 0], [0.05, 0.15, 0.25] * 2, atol=1e-6)


def test_every_lead_has_a_place_of_its_own():
    """V6 looks along the line of lead I; at one place nothing could tell their tokens apart."""
    places = np.array(list(PLACES.values()))
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1)
    assert apart[~np.eye(len(places), dtype=bool)].min() > 0.2
    ecg = adapter(tokens="lead", scales=("patch", "beat"))
    window = ecg.windows(patient(0, STANDARD_LEADS))[0]
    (back,) = ecg.unpatchify(ecg.patchify(window))
    np.testing.assert_allclose(back[:12, : window.values.shape[1]], window.values[:12], atol=1e-6)


def test_a_group_is_a_lead_whatever_else_was_recorded():
    ecg = adapter(tokens="lead")
    alone = ecg.patchify(_window(["V2"], 24)).group
    among = ecg.patchify(_window(["V5", "V2", "I"], 24)).group
    assert set(alone.flatten().tolist()) == {STANDARD_LEADS.index("V2")}
    assert among[0].tolist() == [STANDARD_LEADS.index(name) for name in ("I", "V2", "V5") for _ in range(2)]


def test_a_joint_patch_is_valid_while_any_lead_was_recorded():
    ecg = adapter(leads=("II", "V1"))
    patches = ecg.patchify(_window(["II", "V1"], 60, gaps=[(0, 0, 36), (1, 24, 60)]))
    assert patches.valid[0].tolist() == [True, True, False, True, True]


def test_a_lead_patch_is_valid_when_most_of_it_was_recorded():
    ecg = adapter(tokens="lead")
    patches = ecg.patchify(_window(["II"], 48, gaps=[(0, 0, 6), (0, 12, 19), (0, 36, 48)]))
    assert patches.valid[0].tolist() == [True, False, True, False]


def test_a_slot_may_be_filled_by_another_lead():
    ecg = adapter(leads=("II|I", "V1|V5"))
    window = _window(["V5", "I"], 24)
    (signal,) = ecg.unpatchify(ecg.patchify(window))
    np.testing.assert_array_equal(signal, window.values[[1, 0]])


def test_the_residual_lies_behind_its_lead():
    recording = patient(0)
    joint = adapter(residual=True, leads=("II", "V1"))
    assert joint.spec.patch_shape == (4, PATCH)
    window = joint.windows(recording)[0]
    (signal,) = joint.unpatchify(joint.patchify(window))
    np.testing.assert_array_equal(signal, window.values)
    lead = adapter(residual=True, tokens="lead")
    patches = lead.patchify(lead.windows(recording)[0])
    assert patches.group.unique().tolist() == [1, 6, 13, 18]
    assert patches.coords[..., 4].equal((patches.group >= 12).float())


def test_inputs_are_never_modified():
    window = _window(["II"], 30)
    before = window.values.copy()
    for tokens in ("joint", "lead"):
        ecg = adapter(tokens=tokens)
        ecg.unpatchify(ecg.patchify(window))
    np.testing.assert_array_equal(window.values, before)


# ---- recordings of any leads and length ---------------------------------------------------------------------------


def _cut(recording, samples):
    return replace(recording, signals=recording.signals[:, :samples], annotations=())


@pytest.mark.parametrize("tokens", ["joint", "lead"])
@pytest.mark.parametrize("duration_s", [0.1, 0.25, 1.0, 9.99, 10.0, 25.0])
def test_any_length_from_a_patch_on(tokens, duration_s):
    ecg = adapter(tokens=tokens)
    short = _cut(patient(0, ("II",), duration_s=30.0), round(duration_s * 250))
    windows = ecg.windows(short)
    assert windows[0].start_s == 0.0
    last = windows[-1]
    assert last.start_s + last.values.shape[1] / 120 == pytest.approx(max(duration_s, 0.1), abs=0.1)
    assert all(ecg.patchify(window).n_patches for window in windows)


def test_less_than_a_patch_is_one_sentence():
    short = patient(0, ("II",))
    short = short.__class__(short.signals[:, :20], short.sensors, 250.0, "mV", "r", "s")
    with pytest.raises(
        InputError, match=r"r: recording is shorter than one patch, got 0\.080 s, expected at least 0\.1 s"
    ):
        adapter().windows(short)


def test_leads_that_fill_no_slot_are_one_sentence():
    with pytest.raises(
        InputError, match=r"none of its leads fills a slot, got V1, expected I, II; set modality\.leads"
    ):
        adapter(leads=("I", "II")).windows(patient(0, ("V1",)))


def test_another_unit_is_one_sentence():
    recording = replace(patient(0), unit="V")
    with pytest.raises(InputError, match="wrong unit, got V, expected mV"):
        adapter().windows(recording)
