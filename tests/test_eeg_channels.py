"""Names of EEG channels: one for each site however it is written, and an error that helps for the rest."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.core.errors import InputError
from omnipatch.modalities.eeg.channels import (
    Channel,
    canonical_channel,
    canonical_channels,
    channel_kind,
    numbered_inputs,
    parse_aliases,
    parse_channel,
)  # fmt: skip
from omnipatch.modalities.eeg.sites import site_places

SITES = st.sampled_from(sorted(site_places()))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("EEG FP1-REF", Channel("Fp1", reference="REF")),  # TUH
        ("EEG FP1-LE", Channel("Fp1", reference="LE")),
        ("EEG C3-A2", Channel("C3", reference="A2")),  # sleep laboratories
        ("C3-M2", Channel("C3", reference="M2")),
        ("T3", Channel("T7")),
        ("EEG T5-REF", Channel("P7", reference="REF")),
        ("EEG T1-REF", Channel("FT9", reference="REF")),
        ("Fc5.", Channel("FC5")),  # EEGMMIDB
        ("Cz..", Channel("Cz")),
        ("EEG-Fz", Channel("Fz")),  # BCI competition IV
        ("POL Fp1", Channel("Fp1")),  # Nihon Kohden
        ("FP1-F7", Channel("Fp1", "F7")),  # bipolar, CHB-MIT
        ("T8-P8-0", Channel("T8", "P8")),
        ("EEG Fpz-Cz", Channel("Fpz", "Cz")),  # Sleep-EDF
        ("EEG A2-A1", Channel("A2", "A1")),  # from ear to ear: both are poles
        ("afF5H", Channel("AFF5h")),
    ],
)
def test_every_way_to_write_a_site_is_understood(written, meant):
    assert parse_channel(written) == meant


@pytest.mark.parametrize(
    "name", ["EEG-0", "E12", "CH1", "EEG 26-REF", "ECG", "Fp1-Fp1", "", "-", "EEG", "Fp1-Q7", "\u00b5", "A-B-C-D"]
)
def test_what_names_no_site_is_not_guessed(name):
    assert canonical_channel(name) is None


@given(SITES)
@settings(deadline=None)
def test_a_canonical_name_stays_as_it_is(name):
    assert canonical_channel(name) == name
    assert canonical_channel(f"EEG {name.upper()}-REF") == name


@given(SITES, SITES)
@settings(deadline=None)
def test_a_bipolar_name_reads_back(anode, cathode):
    name = canonical_channel(f"{anode}-{cathode}")
    assert name is None or canonical_channel(name) == name


@given(st.text(max_size=30))
@settings(deadline=None)
def test_any_text_is_a_name_or_none(text):
    name = canonical_channel(text)
    assert name is None or canonical_channel(name) == name
    assert isinstance(channel_kind(text), str)


def test_aliases_come_first():
    assert canonical_channel("E12", {"E12": "Fz"}) == "Fz"
    assert canonical_channel("Cz", {"Cz": "Pz"}) == "Pz"
    assert parse_aliases(["E12=Fz", "a=b=Fp1-F7"]) == {"E12": "Fz", "a=b": "Fp1-F7"}


def test_an_unknown_name_says_which_are_near():
    with pytest.raises(InputError, match=r"got EEG FZP-REF.*Fz, Fpz.*modality\.aliases"):
        canonical_channels(["Fp1", "EEG FZP-REF"])
    with pytest.raises(InputError, match="stands twice"):
        canonical_channels(["T3", "T7"])
    with pytest.raises(InputError, match=r"expected a site"):
        parse_aliases(["E12=Q9"])
    with pytest.raises(InputError, match="NAME=SITE"):
        parse_aliases(["E12"])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("EEG FP1-REF", "eeg"), ("EOG horizontal", "eog"), ("EEG ROC-REF", "eog"), ("LEOG", "eog"),
        ("EEG EKG1-REF", "ecg"),
        ("ECG ECG", "ecg"), ("EMG submental", "emg"), ("Status", "stim"), ("Event marker", "stim"), ("STI 014", "stim"),
        ("Resp oro-nasal", "misc"), ("Temp rectal", "misc"), ("PHOTIC-REF", "stim"), ("C3", "eeg"), ("Loc", "eog"),
        ("E1-M2", "eog"), ("E12", "eeg"),
    ],
)  # fmt: skip
def test_the_name_says_what_kind_of_channel_it_is(name, kind):
    assert channel_kind(name) == kind


def test_numbers_of_inputs_are_no_sites():
    assert numbered_inputs(["A1", "A2", "A3", "A4", "C3", "Status"])
    assert not numbered_inputs(["A1", "A2", "C3", "C4", "F7"])
