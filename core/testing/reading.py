"""Reading: the synthetic example, the form of a recording, and files that cannot be read."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..modality import Recording
from .case import Case, watched_random_state
from .checks import check, expect, fail, need
from .compare import record_difference

_REFUSE = "catch what the reading library raises, and raise CorruptFileError(what, source=path, got=...) from it"


@check(fix="draw only from the generator handed to `example`")
def example_is_a_pure_function_of_rng(case: Case) -> None:
    found = record_difference(case.recording(3), case.recording(3))
    expect(not found, got=f"{found} from two equal generators", expected="the same recording")


@check(fix="draw the subject, noise and labels from the generator handed to `example`")
def example_varies_with_rng(case: Case) -> None:
    found = record_difference(case.recording(3), case.recording(4))
    expect(found, got="one recording from two different generators", expected="another recording for each")


@check(fix="correct what `example` returns (`read` must return the same form)")
def recording_has_its_declared_form(case: Case) -> None:
    recording = case.recording()
    expect(isinstance(recording, Recording), got=type(recording).__name__, expected="a Recording")
    signals = recording.signals
    expect(
        isinstance(signals, np.ndarray) and signals.dtype == np.float32 and signals.ndim >= 2,
        got=f"signals of type {getattr(signals, 'dtype', type(signals).__name__)} and shape {list(np.shape(signals))}",
        expected="float32 [sensor, ..., sample]",
    )
    expect(
        len(recording.sensors) == len(signals) and len(set(recording.sensors)) == len(signals),
        got=f"{len(set(recording.sensors))} sensor names for {len(signals)} rows",
        expected="a name of its own for each row",
    )
    expect(
        isinstance(recording.sensors, tuple),
        got=f"sensors of type {type(recording.sensors).__name__}",
        expected="a tuple",
    )


@check(fix="let `example` return signals as `read` would: in the unit of the sensor")
def example_is_in_physical_units(case: Case) -> None:
    recording = case.recording()
    expect(
        np.isfinite(recording.sfreq_hz) and recording.sfreq_hz > 0,
        got=f"sfreq_hz {recording.sfreq_hz}",
        expected="a positive rate in hertz",
    )
    expect(recording.unit, got="no unit", expected='the unit of the signals, such as "mV"')
    expect(not np.isinf(recording.signals).any(), got="infinite samples", expected="finite ones, or NaN = missing")
    spread = np.ptp(np.nan_to_num(recording.signals), axis=-1)
    expect((spread > 0).any(), got="only flat sensors", expected="a signal")


@check(fix="give seconds from the start, not samples")
def annotations_lie_inside_the_example(case: Case) -> None:
    recording = case.recording()
    need(recording.annotations, "the example has no annotations")
    end = recording.signals.shape[-1] / recording.sfreq_hz
    outside = [a for a in recording.annotations if not 0 <= a.onset_s <= a.onset_s + a.duration_s <= end + 1e-6]
    expect(
        not outside,
        got=f"an annotation {outside[:1]} in a recording of {end:g} s",
        expected="onsets and durations in seconds inside it",
    )


@check(fix="draw from the generator that is handed in; global draws break resume and distributed runs")
def global_random_state_is_left_alone(case: Case) -> None:
    modality = case.modality
    with watched_random_state() as touched:
        batch = case.batch
        modality.augment(batch, case.rng())
        modality.demo()
        modality.maskers()
    expect(not touched, got=f"a draw from the global state of {', '.join(touched)}", expected="none")


@check(fix=_REFUSE)
def missing_file_is_named(case: Case) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _expect_refusal(case, Path(folder) / "absent.bin", "a file that does not exist")


@check(fix=_REFUSE)
def empty_file_is_refused(case: Case) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "empty.bin"
        path.touch()
        _expect_refusal(case, path, "an empty file")


@check(fix=_REFUSE)
def garbage_file_is_refused(case: Case) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "garbage.bin"
        path.write_bytes(np.random.default_rng(0).bytes(4096))
        _expect_refusal(case, path, "a file of random bytes")


def _expect_refusal(case: Case, path: Path, what: str) -> None:
    try:
        case.modality.read(path)
    except InputError as error:
        expect(
            path.stem in str(error),
            got=f"{str(error)!r} for {what}",
            expected="a message that names the file",
            fix="pass source=path to the error",
        )
    except Exception as error:  # anything else is what this check is about
        fail(got=f"{type(error).__name__} for {what}", expected="CorruptFileError or InputError")
    else:
        fail(got=f"a recording from {what}", expected="CorruptFileError or InputError")
