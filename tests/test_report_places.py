"""Pictures of what decisions rest on and of hidden patches, and the page that holds them."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from cli_kit import omni, toy_installed, write_recipe
from data_kit import Toy
from omnipatch.core.downstream.falls import occlusion_table
from omnipatch.core.downstream.occlusion import Occlusion
from omnipatch.core.downstream.rows import Evaluation
from omnipatch.core.report import write_report
from omnipatch.core.report.hidden import explained, hidden_values
from omnipatch.core.report.places import bars, place_maps
from omnipatch.core.report.story import Story
from omnipatch.core.report.words import largest_falls
from omnipatch.core.seeing import Seeing, without_values

NAMES = ("front", "middle", "back")


class Mapped(Seeing):
    """Draws places as points of their value and remembers what it was given."""

    def __init__(self):
        self.given = []

    def place_names(self, where):
        return [NAMES[round(float(y))] for _, y in where]

    def draw_places(self, axes, where, values, limit, colours, *, smooth=True):
        self.given.append((where[:, -1].tolist(), values.tolist(), limit))
        axes.imshow(values[None], cmap=colours, vmin=-limit, vmax=limit)
        return True

    def without_parts(self, batch):
        size = batch.spec.patch_size
        return {"early": without_values(batch, torch.arange(size) < size // 2)}


def evaluation(classes=("N", "V"), items=40) -> Evaluation:
    """The back carries class N, the middle says nothing; V is not to be told from places."""
    rng = np.random.default_rng(0)
    code = np.arange(items) % len(classes)
    by_place = rng.normal(size=(items, len(classes), 3)) * 0.01
    by_place[code == 0, 0, 2] += 0.5
    found = Occlusion(
        label=np.eye(len(classes))[code], subject=np.arange(items) // 4, group=np.array([3, 5, 9]), names=NAMES,
        where=np.array([[1.0, y] for y in range(3)]), by_place=by_place.astype(np.float32), parts=("early",),
        by_part=np.full((items, len(classes), 1), 0.25, np.float32),
    )  # fmt: skip
    key = ("pretrained", "finetune", 1.0, 0, 0)
    return Evaluation([], {}, {}, tuple(classes), (), (), occlusion={key: found})


@pytest.fixture(scope="module")
def table():
    return occlusion_table(evaluation(), 100)


class TestTable:
    def test_it_is_plain_data_with_a_row_a_class_and_one_for_all(self, table):
        assert json.loads(json.dumps(table, allow_nan=False)) == table
        assert (table["items"], table["subjects"]) == (40, 10)
        assert table["classes"] == ["all", "N", "V"]
        assert np.shape(table["places"]["mean"]) == (3, 3)
        assert table["places"]["mean"][1][2] == pytest.approx(0.5, abs=0.02)
        assert table["parts"]["mean"] == [[0.25]] * 3
        assert table["places"]["low"][1][2] < table["places"]["mean"][1][2] < table["places"]["high"][1][2]

    def test_nothing_hidden_is_no_table(self):
        assert occlusion_table(Evaluation([], {}, {}, ("N",), (), ())) == {}

    def test_what_is_needed_most_is_said_first_and_what_is_not_needed_never(self, table):
        told = largest_falls(table, "places", 1)
        assert told.startswith("back 0.")
        assert not re.search(r"-\d", told.split("[")[0])


class TestMaps:
    def test_two_classes_have_a_map_each_on_one_scale(self, table):
        seeing = Mapped()
        svg = place_maps(table, seeing)
        ElementTree.fromstring(svg._repr_svg_())
        assert [title for title in ("N", "V", "all classes") if f">{title}<" in svg] == ["N", "V"]
        (at, first, limit), (_, _, other) = seeing.given
        assert at == [0.0, 1.0, 2.0]
        assert first == table["places"]["mean"][1]
        assert limit == other == pytest.approx(max(np.abs(table["places"]["mean"][1:]).ravel()))

    def test_more_classes_stand_beside_all_of_them(self):
        many = occlusion_table(evaluation(tuple("WNRXYZ"), 60), 20)
        seeing = Mapped()
        svg = place_maps(many, seeing)
        assert "all classes" in svg
        assert len(seeing.given) == 5

    def test_a_place_that_nothing_is_known_of_is_left_out_of_the_map(self, table):
        places = table["places"] | {"mean": [[None, 0.1, 0.2]] * 3}
        seeing = Mapped()
        place_maps(table | {"places": places}, seeing)
        assert seeing.given[0][:2] == ([1.0, 2.0], [0.1, 0.2])

    @pytest.mark.parametrize("mean", [[[0.0] * 3] * 3, [[None] * 3] * 3])
    def test_where_nothing_falls_there_is_no_map(self, table, mean):
        assert place_maps(table | {"places": table["places"] | {"mean": mean}}, Mapped()) == ""

    def test_a_modality_without_a_map_gets_bars(self, table):
        assert place_maps(table, Seeing()) == ""
        svg = bars(table, "places")
        found = [name for name in re.findall(r">(\w+)<", svg) if name in NAMES]
        assert found[0] == "back"
        assert set(found) == set(NAMES)

    def test_only_scale_and_map_have_colours_that_no_theme_changes(self, table):
        for svg in (place_maps(table, Mapped()), bars(table, "places"), bars(table, "parts")):
            assert not set(re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", svg)) - {"#ffffff"}

    def test_no_part_no_bars(self, table):
        assert bars(table | {"parts": {"names": [], "mean": [], "low": [], "high": []}}, "parts") == ""


def hidden_arrays(predicted) -> dict[str, np.ndarray]:
    target = np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
    return {
        "window_target": target, "window_predicted": np.asarray(predicted, float), "window_seen_mean": np.full(3, 2.0),
        "window_patch": np.array([1, 3]), "window_coords": np.array([[0.0, 0], [0, 1], [0, 2], [0, 2]]),
        "window_valid": np.ones(4, bool),
    }  # fmt: skip


class TestHiddenPatches:
    def test_a_panel_each_with_the_name_of_its_place(self):
        svg = hidden_values(hidden_arrays([[1, 2, 3], [2, 2, 2]]), Mapped())
        ElementTree.fromstring(svg._repr_svg_())
        assert [name for name in NAMES if f">{name}<" in svg] == ["middle", "back"]
        assert "predicted" in svg

    def test_how_much_beyond_the_mean_was_predicted(self):
        truth = hidden_arrays([[0.0] * 3] * 2)["window_target"]
        assert explained(hidden_arrays(truth)) == 1.0
        assert explained(hidden_arrays(np.full((2, 3), 2.0))) == 0.0
        assert explained(hidden_arrays(truth * [[1, 1, 1], [1, 1, 3]])) == pytest.approx(0.0)
        assert np.isnan(explained({}))

    def test_a_run_without_them_has_no_picture(self):
        assert hidden_values({}, Seeing()) == ""


class ToyPlaced(Toy):
    """The toy with its groups as places."""

    def seeing(self):
        return ToySeeing()


class ToySeeing(Mapped):
    def place_names(self, where):
        return [f"third {i}" for i in range(len(where))]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of the toy whose groups of patches are places."""
    folder = tmp_path_factory.mktemp("places")
    with toy_installed(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(Toy, "seeing", ToyPlaced.seeing, raising=False)
        recipe = write_recipe(folder)
        done = omni("run", recipe, "--out", folder / "run", "--data.task", "rhythm", "--objective", "mae")
        assert done.code == 0, done.err
        yield folder / "run"


class TestPage:
    def test_a_run_tells_what_its_decisions_rest_on(self, run):
        table = json.loads((run / "results.json").read_text())["occlusion"]
        assert table["protocol"] == "finetune"
        assert table["places"]["names"] == ["third 0", "third 1", "third 2"]
        assert table["parts"]["names"] == ["early"]
        text = (run / "report.html").read_text()
        assert 'id="occlusion"' in text
        assert "map of places" in text
        assert "hidden patches" in text  # values that give no signal back

    def test_where_the_modality_is_not_installed_the_page_has_bars(self, run):
        assert isinstance(Story(run).seeing, ToySeeing)
        config = (run / "config.yaml").read_text()
        (run / "config.yaml").write_text(config.replace("name: toy", "name: elsewhere"))
        try:
            assert type(Story(run).seeing) is Seeing
            text = write_report(run).read_text()
            assert "map of places" not in text
            assert "places hidden" in text
        finally:
            (run / "config.yaml").write_text(config)
