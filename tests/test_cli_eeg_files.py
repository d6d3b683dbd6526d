"""A trained encoder meets files of other caps through the command line: fewer channels, other names, own places."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from cli_kit import Done, omni
from eeg_files_kit import CAP, head, write_edf, write_fif
from omnipatch.core.data.store import WindowStore
from omnipatch.core.modality import Source
from omnipatch.core.settings import load
from omnipatch.core.train.model_io import load_model
from omnipatch.modalities.eeg import EEG
from omnipatch.modalities.eeg.sites import site_places

SIX = ("Fz", "C3", "C4", "P3", "P4", "Oz")  # 10-20 has no Oz
SHORT = ("--fast-dev-run", "--evaluate.models", "pretrained", "--evaluate.protocols", "linear",
         "--split.kind", "holdout", "--quiet")  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A run on the 19 channels of the demo set."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    tiny = ("--data.limit", 8, "--encoder.width", 16, "--encoder.depth", 1, "--encoder.heads", 2, "--fast-dev-run")
    assert omni("pretrain", "eeg-mae", "--out", folder, *tiny, "--quiet").code == 0
    return folder


def lab(folder: Path, write, names=CAP, ending=".edf", **options) -> Path:
    """The manifest of a lab's own files, eight people at rest and at work."""
    rows = ["path,subject,label"]
    for person in range(8):
        for number, state in enumerate(("rest", "task")):
            path = folder / f"p{person}_{state}{ending}"
            write(path, head(names, 10.0, seed=2 * person + number), **options)
            rows.append(f"{path.name},p{person},{state}")
    manifest = folder / "lab.csv"
    manifest.write_text("\n".join(rows))
    return manifest


def evaluate(trained: Path, manifest: Path, *options: object) -> Done:
    return omni(
        "evaluate", "eeg-mae", "--from", trained, "--out", manifest.parent / "out", "--data.manifest", manifest, *SHORT,
        *options,
    )  # fmt: skip


def saved(manifest: Path) -> dict:
    return yaml.safe_load((manifest.parent / "out/config.yaml").read_text())


def test_an_encoder_of_19_channels_is_evaluated_on_some_of_them(trained, tmp_path):
    manifest = lab(tmp_path, write_edf)
    done = evaluate(trained, manifest, "--modality.channels", f"[{','.join(SIX)}]")
    assert done.code == 0, done.err
    assert saved(manifest)["modality"]["channels"] == list(SIX)


def test_channels_of_other_names_say_which_are_near_and_how_to_map_them(trained, tmp_path):
    odd = {name: f"{name}q" for name in CAP}
    manifest = lab(tmp_path, write_edf, tuple(odd.values()))
    said = evaluate(trained, manifest).complaint
    assert "Fp1q" in said
    assert "Fp1, " in said.partition("10-05 system")[2], "the nearest known names are listed"
    assert 'modality.aliases, e.g. "Fp1q=' in said
    aliases = ",".join(f"{written}={name}" for name, written in odd.items())
    done = evaluate(trained, manifest, "--modality.aliases", f"[{aliases}]")
    assert done.code == 0, done.err
    assert len(saved(manifest)["modality"]["aliases"]) == 19


def test_electrodes_without_a_known_name_are_used_where_they_were_measured(trained, tmp_path):
    names = tuple(f"E{i}" for i in range(1, 13))
    where = dict(zip(names, list(site_places().values())[40:52], strict=True))
    places = {name: tuple(0.09 * v for v in place) for name, place in where.items()}
    done = evaluate(trained, lab(tmp_path, write_fif, names, "_raw.fif", places=places))
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("channels", "said"),
    [
        ("[Fz,Czz]", "unknown EEG channel, got Czz, expected a site of the 10-05 system (Cz,"),
        ("[Fz,T3,T7]", "channel stands twice"),
        ("[AF7,PO8]", "none of the wanted channels was recorded"),
    ],
)
def test_channels_that_cannot_be_kept_are_one_sentence(trained, tmp_path, channels, said):
    manifest = lab(tmp_path, write_edf)
    done = evaluate(trained, manifest, "--modality.channels", channels)
    assert done.code == 2
    assert said in done.complaint


def test_embed_takes_what_says_how_files_are_read_and_nothing_else(trained, tmp_path):
    path = write_edf(tmp_path / "a.edf", head(("E1", "E2", "E3"), 10.0))
    vectors = tmp_path / "v.npz"
    plain = ("embed", "--from", trained, path, "--out", vectors)
    assert "none of 1 files could be read" in omni(*plain).complaint
    done = omni(*plain, "--modality.aliases", "[E1=Fz,E2=Cz,E3=Pz]", "--modality.channels", "[Fz,Pz]")
    assert done.code == 0, done.err
    assert np.load(vectors)["embedding"].shape == (2, 16)
    for option in ("--modality.window_s", "--encoder.width"):
        refused = omni(*plain, "--overwrite", option, 2).complaint
        assert f"{option}: {option[2:].partition('.')[0]} is that of the weights and cannot be changed" in refused
        assert "modality.aliases, modality.montage, modality.channels" in refused
    assert "without a recipe" in omni(*plain, "--overwrite", "--trainer.max_steps", 2).complaint


def test_embed_says_which_channels_it_should_not_trust(trained, tmp_path):
    x = head((*CAP[:4], "Belt"), 10.0)
    x["F3"] = 0 * x["F3"]
    done = omni("embed", "--from", trained, write_edf(tmp_path / "a.edf", x), "--out", tmp_path / "v.npz")
    assert done.code == 0, done.err
    assert "a.edf: not to be trusted: F3 (flat), Belt (unknown channel" in " ".join(done.out.split())


def test_files_go_through_the_chain_of_training(tmp_path):
    """What `embed` makes of a file is what training saw: filters, rate, reference and scale come with the weights."""
    run, path = tmp_path / "run", write_edf(tmp_path / "a.edf", head(CAP, 10.0, 250.0), 250.0)
    chain = ("--modality.reference", "average", "--modality.lowpass_hz", 30, "--modality.sfreq_hz", 80,
             "--modality.scaling", "recording")  # fmt: skip
    tiny = ("--data.limit", 8, "--encoder.width", 16, "--encoder.depth", 1, "--encoder.heads", 2, "--fast-dev-run")
    assert omni("pretrain", "eeg-mae", "--out", run, *chain, *tiny, "--quiet").code == 0
    assert omni("embed", "--from", run, path, "--out", tmp_path / "v.npz").code == 0
    trained = load(str(run / "config.yaml")).modality
    store = WindowStore.prepare(trained, [Source(path, "a", "a")], None, tmp_path / "cache")
    with torch.no_grad():
        expected = load_model(run).encoder(store.batch(np.arange(len(store)))).pooled
    np.testing.assert_allclose(np.load(tmp_path / "v.npz")["embedding"], expected, atol=1e-5)
    plain = WindowStore.prepare(
        EEG(replace(trained.config, reference="none")), [Source(path, "a", "a")], None, tmp_path
    )
    with torch.no_grad():
        other = load_model(run).encoder(plain.batch(np.arange(len(plain)))).pooled
    assert not np.allclose(other, expected, atol=1e-3), "the reference does matter"


def test_an_evaluation_changes_nothing_else_of_the_modality(trained, tmp_path):
    said = evaluate(trained, lab(tmp_path, write_edf), "--modality.stride_s", 2).complaint
    assert "--modality.stride_s: modality is that of the weights and cannot be changed" in said
