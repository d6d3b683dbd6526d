"""Sensors and rates: any subset, order, gap, rate and length works, because coordinates carry it, not list position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from ..errors import InputError
from ..modality import Recording, Window
from ..sequence import PatchSequence
from .case import Case
from .checks import check, expect, fail, need
from .compare import ordered, ordered_difference

Part = TypeVar("Part", Recording, Window)


@check(fix="find a sensor by its name, never by its place in the list")
def sensor_order_changes_nothing(case: Case) -> None:
    recording = case.recording()
    need(len(recording.sensors) > 1, "the example has one sensor")
    turned = _chosen(recording, range(len(recording.sensors))[::-1])
    for a, b in zip(case.windows, case.modality.windows(turned), strict=True):
        found = ordered_difference(case.modality.patchify(a), case.modality.patchify(b))
        expect(not found, got=f"{found} after reversing the order of the sensors", expected="the same set of patches")


@check(fix="give each sensor its own slot or coordinates, by name")
def dropped_sensor_shifts_no_other(case: Case) -> None:
    window = case.windows[0]
    need(len(window.sensors) > 1, "the window has one sensor")
    for gone in range(len(window.sensors)):
        kept = [i for i in range(len(window.sensors)) if i != gone]
        row = case.modality.patchify(_chosen(window, kept))
        found = _not_part_of(row, case.row)
        expect(
            not found,
            got=f"{found} after leaving out {window.sensors[gone]}",
            expected="the other sensors' patches unchanged",
        )


@check(fix="do not fill a missing sensor with zeros")
def dropped_sensor_is_absent(case: Case) -> None:
    window = case.windows[0]
    need(len(window.sensors) > 1 and case.row.values is not None, "the window has one sensor, or ids")
    for gone in range(len(window.sensors)):
        kept = [i for i in range(len(window.sensors)) if i != gone]
        row = case.modality.patchify(_chosen(window, kept))
        expect(
            _measured(row) < _measured(case.row) or not np.isfinite(window.values[gone]).any(),
            got=f"as many measured values without {window.sensors[gone]} as with it",
            expected="valid=False, or NaN in a joint patch",
        )


@check(fix="set valid=False where a sensor has no finite value, and leave NaN in joint patches")
def nan_sensor_equals_an_absent_one(case: Case) -> None:
    window = case.windows[0]
    need(len(window.sensors) > 1, "the window has one sensor")
    values = window.values.copy()
    values[-1] = np.nan
    silent = case.modality.patchify(replace(window, values=values))
    absent = case.modality.patchify(_chosen(window, range(len(window.sensors) - 1)))
    found = ordered_difference(silent, absent)
    expect(not found, got=f"{found} between a sensor of NaN and an absent one", expected="the same valid patches")


@check(fix="let any subset of sensors through")
def each_sensor_works_alone(case: Case) -> None:
    recording = case.recording()
    for i, name in enumerate(recording.sensors):
        try:
            windows = case.modality.windows(_chosen(recording, [i]))
        except InputError:
            continue
        for window in windows:
            row = case.modality.patchify(window)
            expect(bool(row.valid.any()), got=f"no valid patch of {name} alone", expected="patches, or InputError")


@check(fix="leave out sensors whose name means nothing, or raise InputError that lists the known ones")
def unknown_sensor_is_ignored_or_refused(case: Case) -> None:
    recording = case.recording()
    signals = np.concatenate([recording.signals[:1], recording.signals])
    more = replace(recording, signals=signals, sensors=("zz-unknown", *recording.sensors))
    try:
        windows = case.modality.windows(more)
        rows = [case.modality.patchify(window) for window in windows]
    except InputError:
        return
    except Exception as error:
        fail(got=f"{type(error).__name__} ({error}) for an unknown sensor", expected="patches or InputError")
    for row, window in zip(rows, case.windows, strict=True):
        found = _not_part_of(case.modality.patchify(window), row)
        expect(not found, got=f"{found} after adding an unknown sensor", expected="the known sensors unchanged")


@check(fix="put NaN back where the recording had it, after filtering and resampling")
def gap_is_missing_not_zero(case: Case) -> None:
    recording = case.recording()
    need(case.row.values is not None, "the patches carry ids")
    signals = recording.signals.copy()
    samples = signals.shape[-1]
    signals[..., samples // 4 : samples // 2] = np.nan
    holed = replace(recording, signals=signals)
    before, after = (
        sum(_measured(case.modality.patchify(w)) for w in case.modality.windows(r)) for r in (recording, holed)
    )
    expect(
        after < 0.9 * before,
        got=f"{after} measured values after a quarter of the recording was lost, {before} before",
        expected="about a quarter fewer",
    )


@check(fix="measure windows in seconds, with recording.sfreq_hz")
def rate_changes_keep_seconds(case: Case) -> None:
    recording = case.recording()
    need(case.modality.spec.sfreq_hz is not None, "the patches have no sampling rate")
    faster = _resampled(recording, 1.5)
    windows = case.modality.windows(faster)
    expect(
        len(windows) == len(case.windows),
        got=f"{len(windows)} windows at 1.5 times the rate, {len(case.windows)} before",
        expected="as many",
    )
    step = case.modality.spec.axis_scales[0]
    for a, b in zip(case.windows, windows, strict=True):
        x, y = (ordered(case.modality.patchify(w)) for w in (a, b))
        expect(
            abs(len(x["key"]) - len(y["key"])) <= 0.05 * len(x["key"]) + 1,
            got=f"{len(y['key'])} patches at 1.5 times the rate, {len(x['key'])} before",
            expected="as many",
            fix="resample to the config's rate from recording.sfreq_hz",
        )
        ends = [float(case.modality.patchify(w).coords[0, :, 0].max()) for w in (a, b)]
        expect(
            abs(ends[0] - ends[1]) <= 1.5 * step,
            got=f"last patch at {ends[1]:g} s, {ends[0]:g} s before",
            expected="the same seconds",
            fix="compute coordinates from seconds, not from sample numbers",
        )


def _chosen(part: Part, rows: Sequence[int]) -> Part:
    """The sensors `rows` of a recording or window, in that order."""
    field = "signals" if isinstance(part, Recording) else "values"
    array = getattr(part, field)
    return replace(part, **{field: array[list(rows)]}, sensors=tuple(part.sensors[i] for i in rows))


def _measured(row: PatchSequence) -> int:
    """Finite numbers in valid patches."""
    assert row.values is not None
    return int(row.values[row.valid].isfinite().sum())


def _not_part_of(part: PatchSequence, whole: PatchSequence, atol: float = 1e-4) -> str:
    """What `part` says that `whole` does not: a patch at another place, another value. "" = nothing."""
    x, y = ordered(part), ordered(whole)
    places = {tuple(key): content for key, content in zip(y["key"], y["content"], strict=True)}
    for key, content in zip(x["key"], x["content"], strict=True):
        if tuple(key) not in places:
            return "a patch at a place where there was none"
        real = np.isfinite(content)
        if not np.allclose(content[real], places[tuple(key)][real], rtol=0, atol=atol):
            return "other values at the same place"
    return ""


def _resampled(recording: Recording, factor: float) -> Recording:
    """Linear interpolation to `factor` times the rate: crude, but it keeps every second where it was."""
    samples = recording.signals.shape[-1]
    at = np.arange(int(samples * factor)) / factor
    signals = np.apply_along_axis(lambda x: np.interp(at, np.arange(samples), x), -1, recording.signals)
    return replace(recording, signals=signals.astype(np.float32), sfreq_hz=recording.sfreq_hz * factor)
