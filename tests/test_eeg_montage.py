"""Places of channels: MNE's own sphere for sites, midpoints for bipolar channels, digitised heads brought to it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omnipatch.modalities.eeg.montage import ends, on_idealised_head, place
from omnipatch.modalities.eeg.sites import SITES_10_20, site_places


def test_sites_are_those_of_mne():
    mne = pytest.importorskip("mne")
    theirs = mne.channels.make_standard_montage("spherical_1005").get_positions()["ch_pos"]
    ours = site_places()
    shared = [name for name in theirs if name in ours]
    assert len(shared) == len(theirs) >= 340
    for name in shared:
        np.testing.assert_allclose(ours[name], theirs[name] / np.linalg.norm(theirs[name]), atol=2e-4)


@given(st.sampled_from(sorted(site_places())))
@settings(deadline=None)
def test_every_site_lies_on_the_unit_sphere_and_left_is_left(name):
    x, y, z = place(name)
    assert x * x + y * y + z * z == pytest.approx(1)
    digits = name.rstrip("h").lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZpz")
    if digits:
        assert (x < 0) == (int(digits) % 2 == 1)


def test_old_names_have_the_same_place():
    assert place("T3") == place("T7") == place("EEG T3-REF")


def test_a_bipolar_channel_lies_midway_and_keeps_its_ends():
    np.testing.assert_allclose(ends("Fp1-F7"), (place("Fp1"), place("F7")))
    to_one, to_other = (np.linalg.norm(np.subtract(place("Fp1-F7"), place(name))) for name in ("Fp1", "F7"))
    assert to_one == pytest.approx(to_other)
    assert np.linalg.norm(place("Fp1-F7")) == pytest.approx(1)


def test_no_place_is_invented():
    assert place("A2-A1") is None  # ear to ear
    assert place("E12") is None
    assert ends("E12") is None


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_a_digitised_head_comes_to_the_idealised_one(scale):
    """Electrodes of a real head whose names we hide land near the place of their name."""
    mne = pytest.importorskip("mne")
    real = mne.channels.make_standard_montage("colin27_1005").get_positions()["ch_pos"]
    hidden = {f"input{i}": name for i, name in enumerate(("C5", "FC3", "CP4", "PO3", "F6", "AF3"))}
    digitised = {name: tuple(real[name] * scale) for name in SITES_10_20}
    digitised |= {number: tuple(real[name] * scale) for number, name in hidden.items()}
    found = on_idealised_head(digitised)
    for number, name in hidden.items():
        assert np.degrees(np.arccos(np.dot(found[number], place(name)))) < 12


def test_a_turned_head_is_turned_back():
    angle = np.radians(70)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    straight = on_idealised_head({name: tuple(90 * np.array(place(name))) for name in SITES_10_20})
    turned = on_idealised_head({name: tuple(90 * turn @ place(name)) for name in SITES_10_20})
    for name in SITES_10_20:
        np.testing.assert_allclose(turned[name], straight[name], atol=1e-6)


def test_bad_positions_are_left_out():
    assert on_idealised_head({"x": (np.nan, 0, 0), "y": (0.0, 0.0, 0.0)}) == {}
    assert set(on_idealised_head({"x": (0.0, 0.0, 0.1), "y": (np.inf, 0, 0)})) == {"x"}


def test_a_place_needs_no_mne():
    code = "import sys\nfrom omnipatch.modalities.eeg.montage import place\nplace('Cz')\nprint('mne' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"
