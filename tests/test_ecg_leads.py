"""Lead names: what is understood, what must stay unknown, and the leads that follow from others."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from ecg_kit import STANDARD_LEADS, adapter, patient, with_leads
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.errors import InputError
from omnipatch.modalities.ecg import ECG, ECGConfig
from omnipatch.modalities.ecg.leads import (
    DIRECTIONS,
    canonical_lead,
    derive_limb_leads,
    fill_slots,
    parse_aliases,
    parse_slots,
)


@pytest.mark.parametrize(
    ("written", "lead"),
    [
        ("I", "I"), ("ii", "II"), ("avr", "aVR"), ("AVF", "aVF"), (" V6 ", "V6"), ("MLII", "II"), ("ML2", "II"),
        ("ECG II", "II"), ("EKG: aVL", "aVL"), ("ECG-II", "II"), ("ECG_V1", "V1"), ("lead I", "I"), ("CM5", "V5"),
        ("ECG LEAD V5", "V5"), ("V 1", "V1"), ("DII", "II"), ("MV2", "V2"),
    ],
)  # fmt: skip
def test_a_lead_is_known_however_it_is_written(written, lead):
    assert canonical_lead(written) == (lead, 1)


@pytest.mark.parametrize("written", ["-aVR", "−aVR", "ECG -aVR", " -avr"])
def test_a_minus_is_an_inverted_lead_and_not_decoration(written):
    assert canonical_lead(written) == ("aVR", -1)


@pytest.mark.parametrize(
    "written",
    ["ECG1", "ECG 1", "ECG", "Lead 1", "Ch2", "channel 3", "1", "V", "V7", "V4R", "V1R", "I-II", "II-I", "II 1", "D4",
     "", "aVR-", "--aVR", "ABP", "Resp", "IV", "aV", "MLIV", "I I", "\ufffd"],
)  # fmt: skip
def test_what_does_not_name_one_position_stays_unknown(written):
    assert canonical_lead(written) is None


@given(st.text(max_size=12))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_lead_or_unknown(text):
    found = canonical_lead(text)
    assert found is None or (found[0] in STANDARD_LEADS and found[1] in (-1, 1))


def test_the_user_says_what_inputs_are():
    aliases = parse_aliases(["ECG1=II", "ECG2=-V1", "a=b=V5"])
    assert aliases == {"ECG1": "II", "ECG2": "-V1", "a=b": "V5"}
    assert canonical_lead("ECG1", aliases) == ("II", 1)
    assert canonical_lead("ECG2", aliases) == ("V1", -1)
    assert canonical_lead("a=b", aliases) == ("V5", 1)


@pytest.mark.parametrize("pair", ["ECG1", "ECG1=", "=II", "ECG1=v1", "ECG1=avr", "ECG1=--II"])
def test_a_bad_alias_names_itself(pair):
    with pytest.raises(InputError, match=r"modality\.aliases"):
        parse_aliases([pair])


def test_an_unknown_slot_names_the_nearest_lead():
    with pytest.raises(InputError, match=r"modality\.leads.*V66.*V6"):
        parse_slots(["II", "V66"])
    with pytest.raises(InputError, match=r"modality\.leads: a joint patch needs leads"):
        ECG(ECGConfig(leads=()))
    assert ECG(ECGConfig(leads=(), tokens="lead")).config.leads == ()


def test_a_filter_above_what_the_rate_can_hold_is_refused():
    with pytest.raises(InputError, match=r"modality\.lowpass_hz: lies above.*got 70, expected at most 60, half of"):
        ECG(ECGConfig(lowpass_hz=70))
    assert ECG(ECGConfig(lowpass_hz=60)).config.lowpass_hz == 60


def test_slots_take_their_first_choice_that_is_left():
    slots = parse_slots(["II|I", "I|V1", "V1|V5"])
    assert fill_slots(slots, ["V5", "V1", "I"]) == [2, 1, 0]
    assert fill_slots(slots, ["I"]) == [0, None, None]
    assert fill_slots(slots, []) == [None, None, None]


def test_directions_obey_einthoven_and_are_units():
    d = {name: np.array(v) for name, v in DIRECTIONS.items()}
    for v in d.values():
        assert np.linalg.norm(v) == pytest.approx(1.0)
    assert np.allclose(d["II"] - d["I"], d["III"])
    assert np.allclose(d["aVR"], -(d["I"] + d["II"]) / np.sqrt(3))


@pytest.mark.parametrize("pair", list(itertools.combinations(STANDARD_LEADS[:6], 2)))
def test_any_two_limb_leads_give_the_other_four(pair):
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=(2, 50))
    truth = {"I": one, "II": two, "III": two - one, "aVR": -(one + two) / 2, "aVL": (one - (two - one)) / 2,
             "aVF": (two + (two - one)) / 2}  # fmt: skip
    signals, sensors = derive_limb_leads(np.stack([truth[name] for name in pair]), pair)
    assert set(sensors) == set(truth)
    for name, x in zip(sensors, signals, strict=True):
        np.testing.assert_allclose(x, truth[name], atol=1e-12)


def test_recorded_leads_are_never_replaced():
    signals = np.arange(12.0).reshape(3, 4)
    derived, sensors = derive_limb_leads(signals, ("I", "II", "aVR"))
    assert sensors[:3] == ("I", "II", "aVR")
    np.testing.assert_array_equal(derived[:3], signals)
    assert len(sensors) == 6


def test_one_limb_lead_gives_no_other():
    signals = np.ones((2, 4))
    assert derive_limb_leads(signals, ("II", "V1"))[1] == ("II", "V1")


def test_derived_leads_of_a_patient_are_its_recorded_ones():
    whole = patient(1, STANDARD_LEADS)
    two = with_leads(whole, [0, 1])
    ecg = adapter(tokens="lead")
    ((full, *_), (partial, *_)) = ecg.windows(whole), ecg.windows(two)
    a, b = dict(zip(full.sensors, full.values, strict=True)), dict(zip(partial.sensors, partial.values, strict=True))
    # the demo's noise is drawn for each lead, so they agree as far as noise allows
    for name in ("III", "aVR", "aVL", "aVF"):
        assert np.corrcoef(a[name], b[name])[0, 1] > 0.8, name


def test_a_lead_set_is_known_by_name_and_not_by_order():
    whole = patient(2, ("I", "II", "V1", "V5"), duration_s=4.0)
    for tokens in ("joint", "lead"):
        ecg = adapter(tokens=tokens)
        (first, *_) = ecg.windows(whole)
        reference = ecg.patchify(first)
        for order in itertools.permutations(range(4)):
            (window, *_) = ecg.windows(with_leads(whole, order))
            patches = ecg.patchify(window)
            assert patches.coords.equal(reference.coords)
            assert patches.group.equal(reference.group)
            np.testing.assert_allclose(patches.values.numpy(), reference.values.numpy(), atol=1e-5)


def test_a_recorded_lead_is_the_same_with_and_without_others():
    whole = patient(3, STANDARD_LEADS)
    ecg = adapter()
    everything = ecg.windows(whole)[0]
    alone = ecg.windows(with_leads(whole, [7]))[0]
    np.testing.assert_allclose(alone.values[0], everything.values[everything.sensors.index("V2")], atol=1e-6)
