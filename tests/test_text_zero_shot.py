"""From a store with texts to probabilities of prompts, through files and the command line."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("transformers")

from cli_kit import omni
from ecg_kit import named, patient, write_dat
from omnipatch import InputError
from omnipatch.core.data.store import WindowStore
from omnipatch.core.downstream.prompts import find_prompts, read_prompts
from omnipatch.core.downstream.zero_shot import score_zero_shot, sentences, zero_shot
from omnipatch.core.modality import Source
from omnipatch.core.settings import load
from omnipatch.core.train.alignment_io import count_pairs, load_words
from omnipatch.core.train.model_io import load_model
from omnipatch.modalities.ecg import ECG
from omnipatch.modalities.ecg.findings import findings
from omnipatch.modalities.ecg.record_tasks import label_sets
from omnipatch.modalities.ecg.reports import header_report
from omnipatch.modalities.ecg.tasks import RHYTHMS

TINY = ("--encoder.width", 32, "--encoder.depth", 1, "--encoder.heads", 2, "--objective.text.width", 32,
        "--objective.text.depth", 1, "--objective.heads.captioner.depth", 1, "--objective.heads.decoder.depth", 1,
        "--evaluate.protocols", "linear", "--evaluate.models", "pretrained", "--evaluate.seeds", 1,
        "--evaluate.bootstrap", 50, "--trainer.batch_size", 24, "--optimizer.lr", 3e-3)  # fmt: skip


class TestPrompts:
    @pytest.mark.parametrize("name", sorted(ECG().prompts()))
    def test_shipped_ones_speak_of_classes_that_tasks_have(self, name):
        prompts = find_prompts(name, ECG().prompts())
        known = {c for found in label_sets().values() for c in found.task.classes}
        known |= {*RHYTHMS, "S", "V", "F", *(f.name for f in findings().values())}
        for entry in prompts.entries.values():
            assert set(entry.classes) & known, entry.name
            assert all(text.endswith(".") for text in entry.prompts)

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ("a: {prompt: [x]}", "unknown key 'prompt'"),
            ("a: {prompts: [x], against: b}", "unknown class"),
            ("a: {prompts: []}", "no prompts"),
            ("a: {prompts: [1]}", "list of texts"),
            ("[]", "no prompts here"),
            ("a: [", "cannot be read"),
        ],
    )
    def test_bad_files(self, text, complaint, tmp_path):
        (tmp_path / "p.yaml").write_text(text)
        with pytest.raises(InputError, match=complaint):
            read_prompts(tmp_path / "p.yaml")

    def test_an_unknown_name(self):
        with pytest.raises(InputError, match="rhythm"):
            find_prompts("rythm", ECG().prompts())


class TestText:
    def test_of_a_record_is_kept_with_its_windows(self, tmp_path):
        sources = [Source(None, f"r{i}", f"r{i}", seed=i) for i in range(2)]
        sources += [Source(None, "own", "own", seed=3, extras={"text": "  Left axis.\n\n  LVH "})]
        sources += [Source(None, "bad", "bad", seed=3, extras={"text": 7})]
        store = WindowStore.prepare(ECG(), sources, None, tmp_path)
        assert store.texts[0] == ECG().load(sources[0]).extras["text"]
        assert store.texts[2] == "Left axis.\nLVH"
        assert [(s.record, "must be a string" in s.reason) for s in store.skipped] == [("bad", True)]
        assert count_pairs(store, np.flatnonzero(store.record_code > 0), sources) == (2, 2)

    def test_of_a_header(self):
        comments = ["<age>: 51", "<diagnoses>:", "Rhythm: Sinus bradycardia.", "Left ventricular hypertrophy"]
        assert header_report(comments) == "Rhythm: Sinus bradycardia. Left ventricular hypertrophy."
        assert header_report(["Age: 80", "Dx: 164889003"], ["164889003"]) == "Atrial fibrillation."
        assert header_report(["69 M 1085 1629 x1", "Aldomet, Inderal"]) == ""


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "run"
    done = omni("run", "ecg-report", "--out", folder, *TINY, "--trainer.max_steps", 60)
    assert done.code == 0, done.err
    return folder


class TestRun:
    def test_it_scores_the_test_side(self, run):
        found = {entry["name"]: entry for entry in json.loads((run / "zero_shot.json").read_text())}
        fibrillation = found["atrial fibrillation"]
        assert fibrillation["against"] == "sinus rhythm"
        assert fibrillation["positives"] + fibrillation["negatives"] == fibrillation["subjects"] == 6
        assert fibrillation["ci_low"] <= fibrillation["auroc"] <= fibrillation["ci_high"]

    def test_its_words_are_above_chance_for_people_it_never_saw(self, run, tmp_path):
        model = load_model(run)
        words, modality = load_words(run, model), model.modality
        store = WindowStore.prepare(modality, modality.demo(1), modality.task("rhythm"), tmp_path)
        prompts = find_prompts("rhythm", modality.prompts())
        probability, records = zero_shot(model.encoder, words.alignment, prompts, store, np.arange(len(store)))
        found = score_zero_shot(probability, records, prompts, store, 20)
        assert {one.name for one in found} == {"atrial fibrillation", "sinus rhythm"}
        assert min(one.auroc for one in found) > 0.8

    def test_the_report_says_what_they_were_learned_from(self, run):
        page = (run / "report.html").read_text()
        assert "zero-shot atrial fibrillation against sinus rhythm" in page
        assert "from 0 real and" in page

    def test_the_model_keeps_its_words(self, run, tmp_path):
        model = load_model(run)
        words = load_words(run, model)
        assert words.pairs == words.generated > 5
        settings = load("ecg-report", [])
        store = WindowStore.prepare(
            settings.modality, settings.modality.demo()[:6], settings.modality.task("rhythm"), tmp_path
        )
        prompts = find_prompts("rhythm", settings.modality.prompts())
        probability, records = zero_shot(model.encoder, words.alignment, prompts, store, np.arange(len(store)))
        assert probability.shape == (6, len(prompts.entries))
        assert ((probability > 0) & (probability < 1)).all()
        assert not np.allclose(probability.sum(axis=1), 1.0)
        again, _ = zero_shot(model.encoder, words.alignment, prompts, store, np.arange(len(store))[::-1], batch_size=3)
        np.testing.assert_allclose(again, probability, atol=1e-4)
        lines = sentences(score_zero_shot(probability, records, prompts, store, 20), words.pairs, words.generated)
        assert "0 real" in lines[-1]

    def test_it_can_be_evaluated_later(self, run, tmp_path):
        out = tmp_path / "later"
        done = omni("evaluate", "ecg-report", "--from", run, "--out", out, "--evaluate.protocols", "linear",
                    "--evaluate.models", "pretrained", "--evaluate.seeds", 1, "--evaluate.bootstrap", 20)  # fmt: skip
        assert done.code == 0, done.err
        one, two = (json.loads((folder / "zero_shot.json").read_text()) for folder in (run, out))
        assert [e["auroc"] for e in one] == pytest.approx([e["auroc"] for e in two], abs=1e-3)

    def test_all_records_of_a_set_it_never_saw_are_judged(self, run, tmp_path, monkeypatch):
        """No label is learned from, so no record has to be set aside; of its own data only the test side is judged."""
        monkeypatch.setenv("OMNIPATCH_DATA", str(tmp_path))
        folder = tmp_path / "ecg/ludb"
        folder.mkdir(parents=True)
        rhythms = ["Atrial fibrillation", "Sinus rhythm"] * 5
        for i in range(len(rhythms)):
            write_dat(folder, str(i + 1), named(patient(i, duration_s=10.0)))
        rows = [f"{i + 1},F,{40 + i},{rhythm}" for i, rhythm in enumerate(rhythms)]
        (folder / "ludb.csv").write_text("\n".join(["ID,Sex,Age,Rhythms", *rows]) + "\n")
        out = tmp_path / "unseen"
        done = omni("evaluate", "ecg-report", "--from", run, "--data.name", "ludb", "--out", out,
                    "--evaluate.protocols", "linear", "--evaluate.models", "pretrained", "--evaluate.seeds", 1,
                    "--evaluate.bootstrap", 20)  # fmt: skip
        assert done.code == 0, done.err
        found = {entry["name"]: entry for entry in json.loads((out / "zero_shot.json").read_text())}
        assert (found["atrial fibrillation"]["positives"], found["atrial fibrillation"]["negatives"]) == (5, 5)

    def test_prompts_need_words(self):
        done = omni("run", "ecg-jepa", "--evaluate.zero_shot", "rhythm")
        assert done.code == 2
        assert "aligned with texts" in done.complaint
