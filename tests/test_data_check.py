"""`data check`: counts what is there and names what is broken."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from data_kit import Toy, list_npz, toy_recording, write_corpus, write_toy
from joblib import parallel_config
from omnipatch.core.data.check import check_sources
from omnipatch.core.data.shard import Shard, make_shard


def test_report_counts_and_names_problems(tmp_path):
    sources = write_corpus(tmp_path, 5)
    sources[1].path.write_bytes(b"broken")
    np.savez(sources[2].path, other=1)
    flat = toy_recording(np.random.default_rng(0), 20.0, ("a", "b"))
    flat.signals[0] = 0
    write_toy(sources[4].path, flat, subject="")
    report = check_sources(Toy(), list_npz(tmp_path))
    assert {record.record for record in report.unreadable} == {"r1", "r2"}
    assert "not a toy recording" in report.unreadable[0].problem
    assert "KeyError" in report.unreadable[1].problem
    table = dict(report.table())
    assert table["recordings"] == "5"
    assert table["unreadable"] == "2"
    assert table["subjects"] == "2 (1 recordings without one)"
    assert table["sensors"] == "c a (2), a b (1)"
    assert table["bad sensors"] == "1"
    assert table["sfreq_hz"] == "16 (3)"
    assert report.doubts() == [("r4", "a", "flat")]
    assert report.doubts(most=0) == [("...", "", "1 more")]
    beats = sum(len(Toy().read(s.path).annotations) for s in (sources[0], sources[3], sources[4]))
    assert sum(report.labels()[name] for name in ("N", "V", "~")) == beats


def test_a_stretch_beyond_the_end_of_its_file_is_told(tmp_path):
    """Milliseconds for seconds, or half a file: what is there would stand for the whole under its label."""
    (source,) = write_corpus(tmp_path, 1)
    recording = Toy().read(source.path)
    end_s = recording.signals.shape[-1] / recording.sfreq_hz
    within = [replace(source, start_s=1.0, stop_s=stop_s) for stop_s in (None, 3.0, end_s, end_s + 0.04)]
    assert not any(check_sources(Toy(), [one]).doubts() for one in within)
    beyond = replace(source, start_s=1.0, stop_s=end_s + 60.0)
    ((_, _, reason),) = check_sources(Toy(), [beyond]).doubts()
    assert reason == f"the stretch ends with the file, 60 s before {end_s + 60:g} s"
    made = make_shard(Toy(), beyond, None)
    assert isinstance(made, Shard)
    assert made.quality["stop_s"] == reason


def test_jobs_and_all_broken(tmp_path):
    sources = write_corpus(tmp_path, 4)
    alone = check_sources(Toy(), sources)
    seen = []
    with parallel_config(backend="threading"):
        assert check_sources(Toy(), sources, jobs=2, progress=lambda *a: seen.append(a)) == alone
    assert seen[-1] == (4, 4)
    for source in sources:
        source.path.write_bytes(b"")
    assert dict(check_sources(Toy(), sources).table())["unreadable"] == "4"
