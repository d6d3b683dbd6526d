"""Skeleton strips: joints stand where the clip had them, hidden ones are drawn apart."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from omnipatch.core.report.pictures import own_window
from omnipatch.core.seeing import Seeing, SeenWindow
from omnipatch.modalities.skeleton.modality import Skeleton, SkeletonConfig
from omnipatch.modalities.skeleton.strips import track

COLOURS = {"ink": "#000000", "soft": "#888888", "hidden": "#0000ff", "predicted": "#ff0000"}


def seen_window(modality: Skeleton, *, predicted: bool = False) -> tuple[SeenWindow, np.ndarray]:
    """A demo clip with a third of its tokens hidden, and its positions [sensor, 3, frame]."""
    window = modality.windows(modality.load(modality.demo()[0]))[0]
    row = modality.patchify(window)
    values = np.where(row.valid[0][:, None], row.values[0], np.nan)
    hidden = np.arange(row.n_patches) % 3 == 0
    guess = np.where(hidden[:, None], values, np.nan) if predicted else None
    return SeenWindow(values, row.coords[0].numpy(), hidden, guess), window


@pytest.mark.parametrize("tokens", ["part", "joint"])
def test_joints_stand_where_the_clip_had_them(tokens):
    modality = Skeleton(SkeletonConfig(tokens=tokens))
    seen, window = seen_window(modality)
    found = track(seen.values, seen.coords, seen.hidden, modality._shape)
    assert found is not None
    frames = window.values.shape[-1]
    for sensor, position in zip(found.sensors, found.position, strict=True):
        own = window.values[window.sensors.index(sensor)]
        np.testing.assert_allclose(position[:, :frames], own, atol=1e-6)
    assert set(found.sensors) <= set(window.sensors)
    assert len(found.sensors) >= 0.8 * len(window.sensors)
    # a third of the tokens is hidden, whatever they hold
    assert 0.2 < found.hidden.mean() < 0.45


def test_strip_shows_what_is_hidden_and_predicted():
    modality = Skeleton()
    drawn = {}
    for predicted in (False, True):
        seen, _ = seen_window(modality, predicted=predicted)
        figure = Figure()
        assert modality.seeing().draw_window(figure, seen, COLOURS)
        drawn[predicted] = {line.get_color() for axes in figure.axes for line in axes.lines if len(line.get_xdata())}
    assert drawn[True] == {COLOURS["ink"], COLOURS["hidden"], COLOURS["predicted"]}
    assert drawn[False] == drawn[True] - {COLOURS["predicted"]}


def test_no_strip_without_the_joint_stream():
    modality = Skeleton(SkeletonConfig(streams=("bone", "motion")))
    seen, _ = seen_window(modality)
    assert not modality.seeing().draw_window(Figure(), seen, COLOURS)


def test_report_has_the_modality_s_own_drawing():
    class Own(Seeing):
        def draw_window(self, figure, window, colours):
            assert window.hidden.tolist() == [False, True, False]
            assert np.isnan(window.values[2]).all()  # invalid
            figure.text(0.5, 0.5, "drawn by the modality")
            return True

    arrays = {
        "window_spec": np.array('{"axes": ["time_s"], "scales": [1.0]}'),
        "window_values": np.ones((3, 4), np.float32),
        "window_coords": np.zeros((3, 1), np.float32),
        "window_valid": np.array([True, True, False]),
        "window_hidden": np.array([1]),
    }
    assert "drawn by the modality" in own_window(arrays, Own())
    assert own_window(arrays, Seeing()) == ""
