"""Baselines: what a person's EEG is like at rest, taken off everything that is said about it afterwards.

People's spectra differ far more than their states do. The field therefore looks at changes against a baseline
(event-related desynchronisation, Pfurtscheller & Lopes da Silva 1999, doi:10.1016/S1388-2457(99)00141-8). Spectra,
covariances and hand features are logarithms, so the mean of the baseline is subtracted; waves can be divided by its
spread (`scaling: baseline`).

Which recordings are the baseline is a choice that a score depends on
- reference: the first `baseline_s` seconds of the person's first recording labelled `baseline_label`. Those seconds
  give no windows themselves. It needs a known minute of everybody, also of those who are tested.
- subject: all recordings of the person, without their labels. When a test subject's own recordings are among them, as
  they are in cross-validation, the score is transductive.
- site: all recordings of the site; transductive likewise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np

from ...core.errors import InputError
from ...core.modality import Recording, Source
from ...core.signals import mean_of_present
from .montage import places_of
from .preprocess import PreprocessConfig, preprocess, robust_spread
from .tokens import TokenShape, described

Kind = Literal["none", "reference", "subject", "site"]
# keys of `Source.extras` and `Recording.extras`
SOURCES, KNOWN, OWN_S = "baseline_sources", "baseline", "baseline_own_s"

_STAMPS = {
    "none": "",
    "reference": "relative to {seconds:g} s of known {label} of each person, test subjects' included",
    "subject": "relative to the mean over all recordings of a person: transductive for test subjects",
    "site": "relative to the mean over all recordings of a site: transductive for test subjects",
}


@dataclass(frozen=True, eq=False)
class Baseline:
    """Means over the baseline: contents by kind and sensor [value], hand features [feature]; spread_uv by sensor."""

    contents: Mapping[str, Mapping[str, np.ndarray]]
    spread_uv: Mapping[str, float]
    hand: np.ndarray

    def content(self, kind: str, sensors: Sequence[str]) -> np.ndarray:
        """[channel, value] of a kind; NaN for a sensor that the baseline does not have."""
        missing = np.full_like(next(iter(self.contents[kind].values())), np.nan)
        return np.stack([self.contents[kind].get(name, missing) for name in sensors])

    def spread(self, sensors: Sequence[str]) -> np.ndarray:
        """[channel] microvolt, NaN for a sensor that the baseline does not have."""
        return np.array([self.spread_uv.get(name, np.nan) for name in sensors])


def stamp(kind: Kind, label: str, seconds: float) -> str:
    """What must be said beside every score, "" = nothing."""
    return _STAMPS[kind].format(label=label, seconds=seconds)


def with_baselines(sources: Iterable[Source], kind: Kind, label: str, seconds: float) -> list[Source]:
    """The sources, each with those of its baseline in `extras`; without any where there are none."""
    listed = list(sources)
    groups: dict[str, list[Source]] = {}
    for source in listed:
        groups.setdefault(_group(source, kind), []).append(source)
    references = {name: _reference(of, kind, label, seconds) for name, of in groups.items() if name}
    found = []
    for source in listed:
        of = references.get(_group(source, kind), ())
        own = kind == "reference" and any(_same(source, other) for other in of)
        extras = {**source.extras, **({SOURCES: of} if of else {}), **({OWN_S: seconds} if own else {})}
        found.append(replace(source, extras=extras))
    return found


def unknown_baseline(record: str, kind: Kind, label: str) -> InputError:
    """The error for a recording that needs a baseline and has none."""
    expected = f"a recording of the same person labelled {label}" if kind == "reference" else f"a known {kind}"
    fix = "list the recordings of each person in a manifest, or use a model without a baseline"
    if kind == "reference":
        fix = f"if another label is the known one, name it: modality.baseline_label; else {fix}"
    return InputError(
        "the baseline of this recording is not known", source=record, field="modality.baseline", got=kind,
        expected=expected, fix=fix,
    )  # fmt: skip


def measure(
    recordings: Sequence[Recording],
    config: PreprocessConfig,
    window_s: float,
    shape: TokenShape,
    hand: Callable[[np.ndarray, Recording], np.ndarray],
) -> Baseline:
    """Means over all windows of recordings whose channels have places. `hand` gives the features of a window."""
    spread_uv = _spreads(recordings, config) if config.scaling == "baseline" else {}
    contents: dict[str, dict[str, list[np.ndarray]]] = {kind: {} for kind in shape.kinds if kind != "wave"}
    features = []
    for recording in recordings:
        places = places_of(recording.sensors, recording.extras.get("positions", {}))
        spread = np.array([spread_uv[name] for name in recording.sensors]) if spread_uv else None
        x = preprocess(recording.signals, recording.sfreq_hz, config, recording.sensors, spread)
        size = round(window_s * config.sfreq_hz)
        # a recording shorter than a window is one
        for start in range(0, max(1, x.shape[1] - size + 1), size):
            values = x[:, start : start + size]
            for kind, of in contents.items():
                for name, content in zip(recording.sensors, described(kind, values, places, shape), strict=True):
                    of.setdefault(name, []).append(content)
            features.append(hand(values, recording)[None])
    means = {kind: {name: _joined(parts) for name, parts in of.items()} for kind, of in contents.items()}
    return Baseline(means, spread_uv, _joined(features))


def _spreads(recordings: Sequence[Recording], config: PreprocessConfig) -> dict[str, float]:
    same = {field.name: getattr(config, field.name) for field in fields(PreprocessConfig)}
    unscaled = PreprocessConfig(**{**same, "scaling": "fixed", "unit_uv": 1.0, "clip": 0.0})
    found: dict[str, list[np.ndarray]] = {}
    for recording in recordings:
        x = preprocess(recording.signals, recording.sfreq_hz, unscaled, recording.sensors)
        for name, signal in zip(recording.sensors, x, strict=True):
            found.setdefault(name, []).append(signal)
    return {name: float(robust_spread(np.concatenate(signals)[None])[0]) for name, signals in found.items()}


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Mean over the first axis of all parts together."""
    return mean_of_present(np.concatenate(parts)).astype(np.float32)


def key(sources: Sequence[Source]) -> tuple[Any, ...]:
    """What tells one baseline from another."""
    return tuple((str(s.path), s.record, s.seed, s.label, s.start_s, s.stop_s) for s in sources)


def _group(source: Source, kind: Kind) -> str:
    return source.site if kind == "site" else source.subject


def _reference(sources: list[Source], kind: Kind, label: str, seconds: float) -> tuple[Source, ...]:
    if kind != "reference":
        return tuple(sources)
    for source in sources:
        if label in source.label:
            start = source.start_s or 0.0
            stop = start + seconds if source.stop_s is None else min(source.stop_s, start + seconds)
            return (replace(source, start_s=start, stop_s=stop),)
    return ()


def _same(source: Source, reference: Source) -> bool:
    own = (source.path, source.record, source.seed, source.label, source.start_s or 0.0)
    return own == (reference.path, reference.record, reference.seed, reference.label, reference.start_s or 0.0)
