"""The page: self-contained, well-formed, and drawn from whatever parts a run has."""

import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from cli_kit import omni, toy_installed, write_recipe
from omnipatch.core.errors import CorruptFileError
from omnipatch.core.report import write_report
from omnipatch.core.report.look import MODELS, new_figure, style, to_svg
from omnipatch.core.report.material import Material

VOID = {"meta", "br", "img", "link", "hr", "input", "path", "use", "rect", "circle", "line"}
EVERYTHING = ["results", "difference", "classes", "trust", "records", "map", "pretraining", "data", "repeat"]


class Page(HTMLParser):
    """Tags that must balance, ids, links and everything that could load something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.inner: list[str] = []
        self.outer: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            elif name in ("href", "src", "xlink:href", "data", "action", "poster", "srcset"):
                (self.inner if value.startswith("#") else self.outer).append(value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open, f"</{tag}> closes nothing"
            assert self.open.pop() == tag


def check(text: str) -> Page:
    page = Page(text)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.inner} <= set(page.ids)
    assert [link for link in page.outer if not link.startswith("data:")] == []
    assert "script" not in page.tags
    assert re.search(r"url\((?!#|['\"]?data:)|@import|https?://", text) is None
    assert "nan" not in re.findall(r'\b(?:d|x|y|points|transform)="[^"]*\b(nan)\b', text)
    return page


def sections(page: Page) -> list[str]:
    return [name for name in page.ids if name in EVERYTHING]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    with toy_installed():
        recipe = write_recipe(folder)
        done = omni("run", recipe, "--out", folder / "run", "--data.task", "rhythm", "--objective", "mae")
        assert done.code == 0, done.err
        done = omni("pretrain", recipe, "--out", folder / "pre", "--objective", "simclr")
        assert done.code == 0, done.err
    return folder


@pytest.fixture
def run(finished, tmp_path):
    """A copy to damage."""
    return shutil.copytree(finished / "run", tmp_path / "run")


def change(run, edit) -> str:
    results = json.loads((run / "results.json").read_text())
    edit(results)
    (run / "results.json").write_text(json.dumps(results))
    return write_report(run).read_text()


def test_a_finished_run_has_every_section_and_loads_nothing(finished):
    text = (finished / "run/report.html").read_text()
    assert sections(check(text)) == EVERYTHING
    assert "Pretraining" in re.search(r"<h1>(.*?)</h1>", text)[1]
    assert text.count("<svg") >= 9
    assert "A research tool, not a medical device" in text


def test_the_page_follows_dark_and_light(finished):
    text = (finished / "run/report.html").read_text()
    assert "prefers-color-scheme: dark" in text
    figures = "".join(re.findall(r"<svg.*?</svg>", text, flags=re.S))
    fixed = set(re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", figures))
    assert fixed <= {"#ffffff"}, "a colour that no theme can change"


def test_a_run_that_was_only_pretrained(finished):
    text = (finished / "pre/report.html").read_text()
    assert sections(check(text)) == ["pretraining", "data", "repeat"]
    assert "not evaluated yet" in text
    assert "augmented views" in text
    with toy_installed():
        assert omni("report", finished / "pre").code == 0
    assert (finished / "pre/report.html").read_text() == text


def test_results_alone_are_enough(run):
    for path in run.iterdir():
        if path.name != "results.json":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert sections(check(write_report(run).read_text())) == ["results", "classes", "repeat"]


def test_without_pretraining_curves(run):
    (run / "metrics.csv").unlink()
    page = check(write_report(run).read_text())
    assert "pretraining" in sections(page)  # the example window is still there


def test_a_class_nobody_has(run):
    """Its scores are undefined: null in the file, blank on the page."""

    def blank(results):
        for row in results["rows"]:
            row["metrics"] |= {"f1_wild": None, "auroc": None}
        for entry in results["summary"]:
            if entry["metric"] in ("f1_wild", "auroc"):
                entry |= {"mean": None, "ci_low": None, "ci_high": None}

    text = change(run, blank)
    assert sections(check(text))[:3] == ["results", "difference", "classes"]
    assert "None" not in re.sub(r"<details>.*?</details>", "", text, flags=re.S)


def test_no_metric_at_all_is_defined(run):
    def blank(results):
        for entry in results["summary"]:
            entry |= {"mean": None, "ci_low": None, "ci_high": None}

    check(change(run, blank))


def test_one_model_only(run):
    def keep(results):
        for key in ("rows", "summary"):
            results[key] = [entry for entry in results[key] if entry["model"] == "hand-features"]

    material = Material.load(run)
    material.facts["differences"] = []
    material.save(run)
    text = change(run, keep)
    check(text)
    assert "No control was evaluated" in text


def test_what_rows_reach_without_what_joins_them_is_told_one_by_one(run):
    """A fine-tuned row that two things join has two scores beside it, which are no runs of one another."""
    material = Material.load(run)
    row = {"model": "pretrained", "protocol": "finetune", "label_fraction": 1.0, "fold": 0}
    material.facts["also"] = [
        {**row, "name": name, "seed": seed, "metrics": {"macro_f1": score + 0.1 * seed}}
        for name, score in (("encoder alone", 0.5), ("fine-tuned alone", 0.3))
        for seed in (0, 1)
    ]
    material.save(run)
    text = write_report(run).read_text(encoding="utf-8")
    assert "Heads without the hand features: pretrained, fine-tuning (macro F1 0.550 over 2 runs)" in text
    assert "without what they are pooled with: pretrained, fine-tuning (macro F1 0.350 over 2 runs)" in text


def test_intervals_may_be_missing(run):
    def drop(results):
        for entry in results["summary"]:
            entry |= {"ci_low": None, "ci_high": None}

    check(change(run, drop))


def test_names_from_data_cannot_break_the_page(run):
    evil = "<script>alert(1)</script>\"&'"
    material = Material.load(run)
    material.facts["stamps"].append(evil)
    material.facts["classes"] = [evil, "b"]
    material.facts["data"] |= {"name": evil, "skipped": [{"record": evil, "reason": evil}],
                               "quality": {evil: {evil: evil}}}  # fmt: skip
    for table in material.facts["records"]:
        for entry in table["entries"]:
            entry["subject"] = evil
    material.save(run)
    text = change(run, lambda results: results.update(recipe=evil, dataset=evil))
    check(text)
    assert "<script" not in text


def test_a_report_is_the_same_every_time(run):
    first = write_report(run).read_text()
    assert write_report(run).read_text() == first


def test_damaged_parts_are_named(run):
    (run / "env.json").write_text("{")
    with pytest.raises(CorruptFileError, match=r"env\.json: cannot be read"):
        write_report(run)


def test_material_survives_the_file(tmp_path):
    Material({"a": [1, None, "ü"]}, {"x": np.arange(3)}).save(tmp_path)
    again = Material.load(tmp_path)
    assert again.facts == {"a": [1, None, "ü"]}
    assert again.arrays["x"].tolist() == [0, 1, 2]
    assert Material.load(tmp_path / "none").facts == {}


def test_two_figures_share_no_id():
    def draw(label):
        with style():
            figure = new_figure(2, 2)
            axes = figure.add_subplot()
            axes.fill_between([0, 1], [0, 1], color=MODELS["scratch"], clip_on=True)
            return to_svg(figure, label)

    ids = [set(re.findall(r'id="([^"]+)"', draw(label))) for label in ("one", "two")]
    assert ids[0]
    assert not ids[0] & ids[1]
    assert draw("one") == draw("one")
    assert "var(--control)" in draw("one")
