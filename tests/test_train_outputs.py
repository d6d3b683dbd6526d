"""metrics.csv across kills, progress lines, and the model folder."""

from __future__ import annotations

import dataclasses
import io
import json
from dataclasses import dataclass

import pytest
import torch
from omnipatch.core import registry
from omnipatch.core.errors import CorruptFileError, InputError
from omnipatch.core.modality import Modality
from omnipatch.core.train.metrics_log import MetricsCSV, read_rows
from omnipatch.core.train.model_io import fresh_encoder, load_model, load_strictly, save_model
from omnipatch.core.train.progress import TrainProgress
from rich.console import Console
from safetensors.torch import load_file, save_file
from train_kit import SPEC, FakeStore, recipe

# ---- metrics --------------------------------------------------------------------------------------------------


def test_columns_appear_when_a_metric_does(tmp_path):
    log = MetricsCSV(tmp_path / "metrics.csv")
    log.log_metrics({"loss": 1.0}, 1)
    log.log_metrics({"loss": 0.5, "encoder/std": 0.25}, 2)
    log.log_metrics({"loss": 1 / 3}, 3)
    assert (tmp_path / "metrics.csv").read_text().splitlines() == [
        "step,loss,encoder/std", "1,1,", "2,0.5,0.25", "3,0.3333333,",
    ]  # fmt: skip


def test_a_resumed_log_drops_what_runs_again_and_torn_rows(tmp_path):
    path = tmp_path / "metrics.csv"
    log = MetricsCSV(path)
    for step in (1, 2, 3, 4):
        log.log_metrics({"loss": step, "std": 2 * step}, step)
    whole = path.read_text()
    for cut in range(len(whole)):
        path.write_text(whole[:cut])
        MetricsCSV(path, keep_until=2).log_metrics({"loss": 30, "std": 60}, 3)
        steps = [row["step"] for row in read_rows(path)]
        assert steps[-1] == "3"
        assert steps[:-1] == ["1", "2"][: len(steps) - 1]
    path.write_text(whole)
    MetricsCSV(path, keep_until=2).log_metrics({"loss": 30, "std": 60}, 3)
    assert [row["loss"] for row in read_rows(path)] == ["1", "2", "30"]


def test_a_new_run_starts_a_new_log(tmp_path):
    path = tmp_path / "metrics.csv"
    MetricsCSV(path).log_metrics({"loss": 1.0}, 1)
    MetricsCSV(path).log_metrics({"other": 1.0}, 1)
    assert path.read_text().split() == ["step,other", "1,1"]


# ---- progress -------------------------------------------------------------------------------------------------


def _show(terminal, **options):
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=160)
    with TrainProgress("pretrain", console, **options) as progress:
        for step in (1, 10, 20):
            progress(step, 20, {"loss": 1.5, "windows_per_s": 321.0})
    return text.getvalue()


def test_plain_lines_without_a_terminal():
    lines = _show(False, every=0.0).splitlines()
    assert lines[0] == "pretrain 1/20  loss 1.5000  321 windows/s"
    assert len(lines) == 3
    assert len(_show(False, every=100.0).splitlines()) == 2  # the first and the last


def test_a_bar_in_a_terminal():
    text = _show(True)
    assert "20/20" in text
    assert "loss 1.5000" in text


# ---- model folder ---------------------------------------------------------------------------------------------


class Tiny(Modality):
    name = "tiny"

    @dataclass(frozen=True)
    class Config:
        sfreq_hz: float = 80.0
        bands: tuple[float, ...] = (1.0, 2.0)

    @property
    def spec(self):
        return dataclasses.replace(SPEC, sfreq_hz=self.config.sfreq_hz)

    read = windows = patchify = example = None  # type: ignore[assignment]


@pytest.fixture
def saved(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "load_modality", lambda name: {"tiny": Tiny}[name])
    modality = Tiny(Tiny.Config(sfreq_hz=40.0, bands=(3.0,)))
    made = dataclasses.replace(recipe(), modality={"name": "tiny"})
    encoder = fresh_encoder(made.encoder, modality.spec, seed=5)
    save_model(tmp_path / "run" / "model", encoder, modality, made, {"pretraining subjects": 5})
    return tmp_path / "run", encoder


def test_a_model_comes_back_whole(saved):
    folder, encoder = saved
    for place in (folder, folder / "model"):
        model = load_model(place)
        assert not model.encoder.training
        assert model.modality.config == Tiny.Config(sfreq_hz=40.0, bands=(3.0,))
        assert model.recipe.encoder["mlp_ratio"] == 4.0  # defaults are written down
        batch = FakeStore().batch([0, 1])
        torch.testing.assert_close(model.encoder(batch).pooled, encoder.eval()(batch).pooled, atol=0.0, rtol=0.0)
    assert sorted(p.name for p in (folder / "model").iterdir()) == [
        "README.md", "config.json", "preprocessing.json", "weights.safetensors",
    ]  # fmt: skip
    assert "| pretraining subjects | 5 |" in (folder / "model" / "README.md").read_text()


def test_fresh_encoders_are_a_function_of_the_seed():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    a, b, c = (fresh_encoder(recipe().encoder, SPEC, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
    assert not all(torch.equal(x, y) for x, y in zip(a.parameters(), c.parameters(), strict=True))


def test_no_model_is_a_sentence(tmp_path):
    with pytest.raises(InputError, match="no model here"):
        load_model(tmp_path)


def test_a_run_of_folds_says_where_its_models_are(tmp_path):
    for fold in (0, 1):
        (tmp_path / f"folds/{fold}/model").mkdir(parents=True)
    with pytest.raises(InputError, match=r"one model a fold, expected one of 0, 1; name one, e\.g\. .*folds.0$"):
        load_model(tmp_path)


def _edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("file", "harm", "message"),
    [
        ("weights.safetensors", lambda p: p.write_bytes(p.read_bytes()[:-9]), "do not match their checksum"),
        ("weights.safetensors", lambda p: p.unlink(), "weights cannot be read"),
        ("config.json", lambda p: p.write_text("{"), "cannot be read"),
        ("config.json", lambda p: p.write_text("[]"), "expected a JSON object"),
        ("config.json", lambda p: _edit(p, lambda c: c.pop("recipe")), "has no recipe"),
        ("config.json", lambda p: _edit(p, lambda c: c.update(format=99)), "unknown model format"),
        ("config.json", lambda p: _edit(p, lambda c: c["spec"].update(unit="mV")), "other patches"),
        ("config.json", lambda p: _edit(p, lambda c: c["recipe"]["encoder"].update(width=32)), "do not fit the model"),
        (
            "config.json",
            lambda p: _edit(p, lambda c: c["recipe"]["encoder"].update(name="os.system")),
            "unknown encoder",
        ),
        ("preprocessing.json", lambda p: _edit(p, lambda c: c.update(bandz=1)), "unknown key modality.bandz"),
    ],
)
def test_a_damaged_model_is_a_sentence(saved, file, harm, message):
    folder, _ = saved
    harm(folder / "model" / file)
    with pytest.raises(InputError, match=message):
        load_model(folder)


def test_weights_of_another_model_are_refused(saved, tmp_path):
    folder, encoder = saved
    state = load_file(folder / "model" / "weights.safetensors")
    with pytest.raises(CorruptFileError, match="no weight matches"):
        load_strictly(encoder, {f"module.{name}": value for name, value in state.items()}, "x")
    dropped = next(iter(state))
    with pytest.raises(CorruptFileError, match=f"{dropped} is missing"):
        load_strictly(encoder, {name: value for name, value in state.items() if name != dropped}, "x")
    save_file(state, tmp_path / "again.safetensors")
    load_strictly(encoder, load_file(tmp_path / "again.safetensors"), "x")
