"""Two and twelve leads, 360 and 500 Hz, pretrained on in one run: a batch holds both, and nobody loses a lead."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from cli_kit import omni
from ecg_kit import STANDARD_LEADS, named, patient, write_dat, write_marks
from omnipatch.core.console import Voice
from omnipatch.core.data.loader import StepLoader
from omnipatch.core.data.store import WindowStore
from omnipatch.core.prepared import prepare
from omnipatch.core.sequence import PatchSequence
from omnipatch.core.settings import Settings, load
from omnipatch.modalities.ecg import ECG
from omnipatch.modalities.ecg.tokens import lead_rank
from scipy.signal import resample_poly

# all twelve leads in one patch, or a token each; with beats and rhythm beside them or alone
FORMS = [
    pytest.param(recipe, tokens, id=f"{recipe}-{tokens}")
    for recipe in ("ecg-jepa", "ecg-beats")
    for tokens in ("joint", "lead")
]
WINDOW_PATCHES = 100  # ten seconds


def mixed(recipe: str, tokens: str, additions: str, *more: object) -> list[str]:
    given = ["--data.name", "mitdb", "--data.pretrain_with", additions, "--modality.leads", "null",
             "--modality.tokens", tokens, *more]  # fmt: skip
    return [str(argument) for argument in given]


def first_mixed_batch(settings: Settings) -> tuple[WindowStore, np.ndarray, PatchSequence]:
    """The store, and the first batch of pretraining with windows of mitdb and of what was added."""
    prepared = prepare(settings, Voice(quiet=True))
    store, recipe = prepared.store, settings.recipe
    windows = prepared.splits[0].windows(store, "pretrain")
    loader = StepLoader(store, windows, recipe.trainer.batch_size, recipe.seed, prefetch=0)
    for step in range(loader.steps_per_epoch):
        rows = loader.indices(step)
        if len(np.unique(store.fixed_split[rows] == "pretrain")) == 2:
            return store, rows, store.batch(rows)
    raise AssertionError("no batch holds both")


def leads_shown(batch: PatchSequence, modality: ECG) -> list[dict[str, int]]:
    """{lead: number of its whole time patches} of each row, as the encoder gets them; residuals are not counted."""
    assert batch.values is not None
    c, own = modality.config, batch.valid & (batch.kind == 0)
    size = round(c.patch_s * c.sfreq_hz)
    if c.tokens == "lead":
        whole = own & (batch.coords[..., 4] < 0.5) & torch.isfinite(batch.values[..., :size]).all(dim=-1)
        rank = lead_rank(batch.coords)
        there = whole.unsqueeze(-1) & (rank.unsqueeze(-1) == torch.arange(len(STANDARD_LEADS)))
    else:
        leads = batch.values[..., : len(STANDARD_LEADS) * size].unflatten(-1, (-1, size))
        there = own.unsqueeze(-1) & torch.isfinite(leads).all(dim=-1)
    return [{lead: n for lead, n in zip(STANDARD_LEADS, row, strict=True) if n} for row in there.sum(dim=1).tolist()]


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    """mitdb: two leads at 360 Hz; ludb: twelve at 500 Hz. Record 101 of one is record 1 of the other."""
    root = tmp_path_factory.mktemp("archive")
    mitdb, ludb = root / "ecg/mitdb", root / "ecg/ludb"
    mitdb.mkdir(parents=True)
    ludb.mkdir()
    for seed, name in enumerate((101, 106, 100)):
        whole = patient(seed, STANDARD_LEADS, 20.0, 500.0)
        write_dat(ludb, str(seed + 1), named(whole), 500.0)
        few = {lead: resample_poly(x, 18, 25) for lead, x in named(whole).items() if lead in ("II", "V1")}
        header = write_dat(mitdb, str(name), few, 360.0)
        beats = [a for a in whole.annotations if a.duration_s == 0]
        write_marks(header, [(round(a.onset_s * 360), a.label, "") for a in beats])
    return root


@pytest.mark.parametrize(("recipe", "tokens"), FORMS)
def test_a_batch_holds_two_and_twelve_leads_of_two_rates(recipe, tokens, archive, monkeypatch):
    monkeypatch.setenv("OMNIPATCH_DATA", str(archive))
    settings = load(recipe, mixed(recipe, tokens, "ludb", "--trainer.batch_size", 9))
    store, rows, batch = first_mixed_batch(settings)
    added = store.fixed_split[rows] == "pretrain"
    modality = settings.modality
    assert isinstance(modality, ECG)
    for shown, is_added in zip(leads_shown(batch, modality), added, strict=True):
        expected = STANDARD_LEADS if is_added else ("II", "V1")
        assert shown == dict.fromkeys(expected, WINDOW_PATCHES)


@pytest.mark.parametrize("tokens", ["joint", "lead"])
def test_a_heart_looks_the_same_from_both(tokens, archive, monkeypatch):
    """The rates meet at one rate: the same second of the same lead is the same patch."""
    monkeypatch.setenv("OMNIPATCH_DATA", str(archive))
    settings = load("ecg-jepa", mixed("ecg-jepa", tokens, "ludb", "--modality.residual", "false"))
    store = prepare(settings, Voice(quiet=True)).store
    code = {name: store.records.index(name) for name in ("101", "ludb/ludb1")}
    pair = [np.flatnonzero((store.record_code == c) & (store.start_s == 8.0)).item() for c in code.values()]
    few, all_twelve = settings.modality.unpatchify(store.batch(pair))
    places = {"joint": (1, 6), "lead": (0, 1)}[tokens]  # of II and V1 among those shown
    for here, there in zip(places, (1, 6), strict=True):
        assert np.corrcoef(few[here], all_twelve[there])[0, 1] > 0.99


def test_it_pretrains(archive, monkeypatch, tmp_path):
    monkeypatch.setenv("OMNIPATCH_DATA", str(archive))
    small = ("--encoder.width", 32, "--encoder.depth", 1, "--encoder.heads", 2, "--trainer.max_steps", 2,
             "--trainer.batch_size", 6, "--objective.heads.predictor.depth", 1)  # fmt: skip
    done = omni("pretrain", "ecg-beats", "--out", tmp_path / "run", *mixed("ecg-beats", "lead", "ludb"), *small)
    assert done.code == 0, done.err
    assert "pretrained with ludb too" in (tmp_path / "run/report.html").read_text()


@pytest.mark.real_data
# the largest of the forms; synthetic archives hold the others above
@pytest.mark.parametrize(("recipe", "tokens"), [("ecg-beats", "lead"), ("ecg-jepa", "joint")])
def test_real_batches_keep_every_lead(recipe, tokens):
    settings = load(recipe, mixed(recipe, tokens, "[ludb,cinc2021]", "--data.limit", 4))
    store, rows, batch = first_mixed_batch(settings)
    assert not store.skipped
    modality = settings.modality
    assert isinstance(modality, ECG)
    seen = {"mitdb": 0, "ludb": 0, "cinc2021": 0}
    for shown, row in zip(leads_shown(batch, modality), rows, strict=True):
        record = store.records[store.record_code[row]]
        name = record.split("/")[0] if "/" in record else "mitdb"
        bad = set(store.quality.get(record, {})) & set(STANDARD_LEADS)  # flat or noisy, set aside by the quality gate
        expected = ("II", "V1") if name == "mitdb" else tuple(lead for lead in STANDARD_LEADS if lead not in bad)
        assert shown == dict.fromkeys(expected, WINDOW_PATCHES), record
        seen[name] += 1
    assert seen["mitdb"] > 0
    assert seen["ludb"] + seen["cinc2021"] > 0
