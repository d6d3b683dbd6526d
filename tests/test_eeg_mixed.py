"""Caps of different size and names in one batch: each row is what it is alone, and objectives train on all of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from eeg_files_kit import CAP, head, write_edf, write_fif
from omnipatch.core.batching import collate
from omnipatch.core.blocks.registry import build
from omnipatch.core.data.store import WindowStore
from omnipatch.core.modality import Source
from omnipatch.core.objective import Objective
from omnipatch.modalities.eeg import EEG, EEGConfig
from omnipatch.modalities.eeg.sites import site_places

DISCS = {"name": "disc", "axes": ["x", "y", "z"], "radius": 0.6, "span": 2.5}
SIX = ("Fz", "C3", "C4", "P3", "P4", "Oz")
MEASURED = {f"E{i}": tuple(0.09 * v for v in site_places()[name]) for i, name in enumerate(CAP[3:15], 1)}
CONFIGS = {
    "spectrum": EEGConfig(content=("spectrum",), spectrum_s=1.0),
    "wave": EEGConfig(),
    "covariance": EEGConfig(content=("spectrum", "covariance")),
    "tubelet": EEGConfig(layout="tubelet", neighbours=2),
    "grid": EEGConfig(layout="grid"),
}


def files(folder):
    """{cap: file} of three montages at two rates."""
    return {
        "ten-twenty": write_edf(folder / "a.edf", head(CAP, 10.0)),
        "six": write_edf(folder / "b.edf", head(SIX, 10.0, 250.0), 250.0),
        "measured": write_fif(folder / "c_raw.fif", head(tuple(MEASURED), 10.0), places=MEASURED),
    }


@pytest.fixture(scope="module")
def caps(tmp_path_factory):
    return files(tmp_path_factory.mktemp("caps"))


def encoder(spec):
    torch.manual_seed(0)
    return build("encoder", {"name": "transformer", "width": 32, "depth": 2, "heads": 2, "positions": "rotary"}, spec)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_row_means_the_same_alone_and_beside_other_caps(caps, name):
    # the grid goes by a list of names: what only a place describes is not on it
    chosen = [path for cap, path in caps.items() if (name, cap) != ("grid", "measured")]
    eeg = EEG(CONFIGS[name])
    rows = [eeg.patchify(eeg.windows(eeg.read(path))[0]) for path in chosen]
    net = encoder(eeg.spec).eval()
    with torch.no_grad():
        together = net(collate(rows)).pooled
        alone = torch.cat([net(row).pooled for row in rows])
    assert together.isfinite().all()
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "objective"),
    [
        ("spectrum", {"name": "jepa", "views": {"context": {"mask": DISCS}}}),
        ("wave", {"name": "mae"}),
        ("spectrum", {"name": "simclr"}),
        ("tubelet", {"name": "mae"}),
    ],
)
def test_objectives_train_on_a_batch_of_several_caps(caps, tmp_path, name, objective):
    eeg = EEG(CONFIGS[name])
    sources = [Source(path, cap, cap) for cap, path in caps.items()]
    store = WindowStore.prepare(eeg, sources, None, tmp_path)
    batch = store.batch(np.arange(len(store)))
    assert len(batch) == 6
    if name != "tubelet":
        assert len(set(batch.lengths.tolist())) == 3, "three caps, three numbers of tokens"
    net = encoder(eeg.spec)
    built = Objective.from_config(objective, eeg.spec, net)
    built.augment, built.total_steps = eeg.augment, 10
    outcome = built(batch, 0, 0)
    outcome.loss.backward()
    assert outcome.loss.isfinite()
    gradients = [p.grad for p in net.parameters() if p.grad is not None]
    assert all(g.isfinite().all() for g in gradients)
    assert max(float(g.abs().max()) for g in gradients) > 0


def test_what_goes_by_site_works_without_names(tmp_path):
    """Hand features and covariances of a cap whose channels are numbered, at its maker's places."""
    import mne

    known = mne.channels.make_standard_montage("biosemi64").get_positions()["ch_pos"]
    named = head(CAP, 10.0)
    numbered = {f"E{i}": named[name] for i, name in enumerate(reversed(CAP), 1)}
    places = {f"E{i}": tuple(known[name]) for i, name in enumerate(reversed(CAP), 1)}
    eeg = EEG(EEGConfig(content=("covariance",), hand=("bands", "log-covariance")))
    paths = write_fif(tmp_path / "a_raw.fif", named), write_fif(tmp_path / "b_raw.fif", numbered, places=places)
    one, other = (eeg.windows(eeg.read(path), "rest-task")[0] for path in paths)
    assert all(name.startswith("input ") for name in other.sensors)
    np.testing.assert_allclose(other.hand, one.hand, atol=1e-4)
    assert np.isfinite(other.hand).all()
    rows = [eeg.patchify(window) for window in (one, other)]
    assert rows[0].lengths.tolist() == rows[1].lengths.tolist() == [19]
    torch.testing.assert_close(rows[1].values.sort(dim=1).values, rows[0].values.sort(dim=1).values, atol=1e-3, rtol=0)


def test_an_electrode_is_where_it_was_measured(caps):
    """Places of an unnamed cap come from the file: those of the sites it was put on, but for the fit of the sphere."""
    recording = EEG().read(caps["measured"])
    assert recording.sensors == tuple(f"input {name}" for name in MEASURED)
    found = np.array([recording.extras["positions"][name] for name in recording.sensors])
    wanted = np.array([site_places()[name] for name in CAP[3:15]])
    angle = np.degrees(np.arccos(np.clip((found * wanted).sum(axis=1), -1, 1)))
    assert angle.max() < 20
