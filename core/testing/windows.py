"""Windows: from a recording to preprocessed stretches of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..crop import crop
from ..errors import InputError
from ..modality import Recording, Window
from .case import Case, read_only
from .checks import check, expect, fail
from .compare import record_difference


@check(fix="make the example longer than a window, or give a short recording one short window")
def example_gives_windows(case: Case) -> None:
    expect(case.windows, got="no window of the example", expected="at least one")
    wrong = [type(w).__name__ for w in case.windows if not isinstance(w, Window)]
    expect(not wrong, got=wrong[:1], expected="a list of Window", fix="return Window objects from `windows`")
    empty = [w.start_s for w in case.windows if not np.isfinite(w.values).any()]
    expect(
        not empty,
        got=f"windows without a finite value at {empty[:3]} s",
        expected="signal in each",
        fix="check filters and normalisation for division by zero",
    )


@check(fix="copy record, subject and site into each Window: splits go by them")
def windows_keep_their_origin(case: Case) -> None:
    recording = replace(case.recording(), record="r7", subject="s7", site="clinic7")
    for window in case.modality.windows(recording):
        got = (window.record, window.subject, window.site)
        expect(
            got == ("r7", "s7", "clinic7"), got=f"(record, subject, site) = {got}", expected="those of the recording"
        )


@check(fix="set start_s to where the window begins in the recording")
def windows_say_where_they_start(case: Case) -> None:
    recording = case.recording()
    end = recording.signals.shape[-1] / recording.sfreq_hz
    starts = [w.start_s for w in case.windows]
    inside = all(0 <= s < end for s in starts)
    expect(
        inside and len(set(starts)) == len(starts) and starts == sorted(starts),
        got=f"starts {starts[:4]} in a recording of {end:g} s",
        expected="different starts in seconds, in order",
    )


@check(fix="hand sensors and the rate after resampling to Window")
def windows_have_a_rate_and_sensor_names(case: Case) -> None:
    for window in case.windows:
        expect(
            window.sfreq_hz > 0 and len(window.sensors) == len(window.values),
            got=f"{len(window.sensors)} sensors, {len(window.values)} rows, {window.sfreq_hz} Hz",
            expected="a name for each row and a positive rate",
        )


@check(fix="keep no state between calls")
def windows_are_deterministic(case: Case) -> None:
    first, second = (case.modality.windows(case.recording()) for _ in range(2))
    expect(len(first) == len(second), got=f"{len(first)} and then {len(second)} windows", expected="the same each time")
    found = next(filter(None, (record_difference(a, b) for a, b in zip(first, second, strict=True))), "")
    expect(not found, got=found, expected="the same windows of one recording each time")


@check(fix="work on a copy (x = x - mean, not x -= mean)")
def windows_do_not_write_into_the_recording(case: Case) -> None:
    recording = read_only(case.recording())
    before = read_only(recording)
    try:
        case.modality.windows(recording)
    except ValueError as error:
        expect("read-only" not in str(error), got="a write into recording.signals", expected="unchanged input")
        raise
    found = record_difference(recording, before)
    expect(not found, got=f"a recording changed by `windows` ({found})", expected="unchanged input")


@check(fix="copy the stretch: values=x[:, a:b].copy()")
def windows_do_not_share_memory_with_the_recording(case: Case) -> None:
    recording = case.recording()
    shared = [w.start_s for w in case.modality.windows(recording) if np.shares_memory(w.values, recording.signals)]
    expect(not shared, got=f"window at {shared[:1]} s is a view of recording.signals", expected="values of its own")


@check(fix="let `patchify` take any length; what is missing is valid=False or NaN")
def short_recording_works_or_is_refused(case: Case) -> None:
    whole = case.windows[0]
    half = 0.5 * whole.values.shape[-1] / whole.sfreq_hz
    windows = _windows(case, crop(case.recording(), 0.0, half), f"half a window ({half:g} s)")
    for window in windows:
        row = case.modality.patchify(window)
        expect(
            0 < int(row.valid.sum()) <= int(case.row.valid.sum()),
            got=f"{int(row.valid.sum())} valid patches",
            expected="at least one and no more than of a whole window",
        )


@check(fix="check the length before filters and resampling")
def tiny_recording_is_refused_or_works(case: Case) -> None:
    recording = case.recording()
    for samples in (0, 1, 2):
        short = replace(recording, signals=recording.signals[..., :samples], annotations=())
        for window in _windows(case, short, f"{samples} samples"):
            case.modality.patchify(window)


@check(fix="carry missing samples through the preprocessing instead of filling them with zero")
def recording_without_signal_is_refused(case: Case) -> None:
    recording = case.recording()
    silent = replace(recording, signals=np.full_like(recording.signals, np.nan))
    for window in _windows(case, silent, "nothing but NaN"):
        row = case.modality.patchify(window)
        content = row.values
        alive = bool(row.valid.any()) if content is None else bool(content[row.valid].isfinite().any())
        expect(
            not alive,
            got="finite values out of a recording of nothing but NaN",
            expected="no valid patch, no window or InputError",
        )


def _windows(case: Case, recording: Recording, what: str) -> list[Window]:
    """Windows of a hard recording; a refusal is none."""
    try:
        return case.modality.windows(recording)
    except InputError:
        return []
    except Exception as error:
        fail(
            got=f"{type(error).__name__} ({error}) for a recording of {what}",
            expected="windows, an empty list or InputError",
            fix="check length and content before filters and resampling",
        )
