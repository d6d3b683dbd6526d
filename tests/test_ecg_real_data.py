"""The real data sets: every file opens, and what is in them is what their descriptions count."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from ecg_kit import STANDARD_LEADS, adapter
from omnipatch.core.config import DataConfig
from omnipatch.core.data.check import check_sources
from omnipatch.core.data.sources import resolve_sources
from omnipatch.modalities.ecg.marks import read_waves
from omnipatch.modalities.ecg.reading import read_wfdb
from omnipatch.modalities.ecg.tasks import AAMI

pytestmark = pytest.mark.real_data

ROOT = Path(os.environ.get("OMNIPATCH_DATA", "."))


def _sources(name):
    return resolve_sources(adapter(), DataConfig(name=name))


@pytest.fixture(scope="module")
def mitdb():
    return [(source, adapter().load(source)) for source in _sources("mitdb")]


def test_mitdb_counts_by_aami_class(mitdb):
    """Beats with at least 90 samples before and 144 after the R mark."""
    counts = {"train": Counter(), "test": Counter()}
    for source, r in mitdb:
        for a in r.annotations:
            at = round(a.onset_s * 360)
            if a.label in AAMI and 90 <= at < r.signals.shape[1] - 144:
                counts[source.split][AAMI[a.label]] += 1
    assert counts["train"] == {"N": 45849, "S": 944, "V": 3788, "F": 414}
    assert counts["test"] == {"N": 17318, "S": 1694, "V": 2635, "F": 375}


def test_mitdb_labels_the_same_beats_in_its_windows(mitdb):
    ecg = adapter(leads=("II|I", "V1|V2|V4|V5"))
    counts = {"train": Counter(), "test": Counter()}
    expected = {"train": Counter(), "test": Counter()}
    for source, r in mitdb:
        if source.record not in ("114", "208", "222", "232"):
            continue
        for window in ecg.windows(r, "beats"):
            counts[source.split].update(label for label in window.events.label if label)
        inside = [a for a in r.annotations if 0.25 <= a.onset_s < r.signals.shape[1] / 360 - 0.4]
        expected[source.split].update(AAMI[a.label] for a in inside if a.label in AAMI)
    assert counts == expected


def test_mitdb_sides_are_different_people(mitdb):
    sides = {side: {s.subject for s, _ in mitdb if s.split == side} for side in ("train", "test")}
    assert (len(sides["train"]), len(sides["test"])) == (22, 9)
    assert not sides["train"] & sides["test"]


def test_mitdb_leads_are_taken_by_name(mitdb):
    by_name = {s.record: r.sensors for s, r in mitdb}
    assert by_name["114"] == ("V5", "II")
    assert Counter(s for sensors in by_name.values() for s in sensors)["II"] >= 30
    assert {len(sensors) for sensors in by_name.values()} == {2}


def test_mitdb_has_the_rhythms_its_description_names(mitdb):
    rhythms = {s.record: {a.label for a in r.annotations if a.duration_s} for s, r in mitdb}
    assert {name for name, found in rhythms.items() if "(AFIB" in found} >= {"203", "221", "222"}
    for _, r in mitdb:
        spans = [a for a in r.annotations if a.duration_s]
        assert sum(a.duration_s for a in spans) == pytest.approx(
            r.signals.shape[1] / 360 - min(a.onset_s for a in spans), abs=1e-6
        )


def test_ludb_opens_with_its_waves():
    sources = _sources("ludb")
    assert len(sources) == len({s.subject for s in sources}) == 100
    total = Counter()
    for source in sources:
        r = adapter().load(source)
        assert (r.sensors, r.sfreq_hz, r.signals.shape) == (STANDARD_LEADS, 500.0, (12, 5000))
        assert np.isfinite(r.signals).all()
        assert any(a.label == "?" for a in r.annotations)
        # the shortest is a P wave of 14 ms in V5 of record 60
        assert all(0.01 <= a.duration_s <= 0.8 for a in r.annotations if a.duration_s)
        for lead in STANDARD_LEADS:
            waves = read_waves(source.path, lead, r.sfreq_hz, r.signals.shape[1])
            total.update("peak" if a.label == "?" else a.label for a in waves)
    assert total["peak"] == 11120
    assert 0.97 * 11120 < total["QRS"] <= 11120
    assert 0.97 * 10000 < total["T"] <= 10000
    assert 0.97 * 8490 < total["P"] <= 8490


def test_cinc2021_opens_with_the_headers_that_wfdb_rejects():
    import wfdb

    sources = _sources("cinc2021")
    assert Counter(s.site for s in sources) == {"A": 4, "E": 11, "HR": 17, "JS": 45}
    codes = Counter()
    for source in sources:
        r = adapter().load(source)
        assert (r.sensors, r.sfreq_hz) == (STANDARD_LEADS, 500.0)
        assert r.label
        codes.update(r.label)
        if source.site == "E":
            with pytest.raises(Exception):  # noqa: B017 - the day wfdb reads these, the repair can go
                wfdb.rdheader(str(source.path.with_suffix("")))
        else:
            assert wfdb.rdheader(str(source.path.with_suffix(""))).sig_len == r.signals.shape[1]
    assert codes.most_common(3) == [("426783006", 30), ("426177001", 22), ("164934002", 8)]


def test_limb_leads_of_real_recordings_follow_from_two_others():
    """Einthoven's law holds in the files as read: no gain, baseline or sign was mistaken."""
    for source in _sources("cinc2021"):
        r = adapter().load(source)
        x = dict(zip(r.sensors, r.signals, strict=True))
        limit = 0.002 * np.ptp(x["II"]) + 0.003
        assert np.median(np.abs(x["II"] - x["I"] - x["III"])) < limit, source.record
        assert np.median(np.abs(x["aVR"] + (x["I"] + x["II"]) / 2)) < limit, source.record


def test_check_reports_what_each_set_holds():
    """`omnipatch data check`."""
    tables = {name: dict(check_sources(adapter(), _sources(name)).table()) for name in ("mitdb", "ludb", "cinc2021")}
    expected = {
        "mitdb": {"recordings": "31", "unreadable": "0", "subjects": "31", "sfreq_hz": "360 (31)", "bad sensors": "0",
                  "sides": "train (22), test (9)", "label F": "790"},
        "ludb": {"recordings": "100", "unreadable": "0", "subjects": "100", "sfreq_hz": "500 (100)",
                 "bad sensors": "0", "duration_s": "10 to 10, median 10"},
        # the chest leads of JS11438 are flat
        "cinc2021": {"recordings": "77", "unreadable": "0", "sites": "4", "bad sensors": "6",
                     "duration_s": "10 to 20, median 10", "label 426783006": "30"},
    }  # fmt: skip
    for name, rows in expected.items():
        assert {key: tables[name].get(key) for key in rows} == rows, name


def test_the_flat_chest_leads_of_one_record_are_missing_patches():
    ecg = adapter(tokens="lead")
    r = read_wfdb(ROOT / "ecg/cinc2021/JS11438.hea")
    assert set(ecg.quality(r)) == set(STANDARD_LEADS[6:])
    patches = ecg.patchify(ecg.windows(r)[0])
    assert not patches.valid[patches.group >= 6].any()
    assert patches.valid[patches.group < 6].all()
