"""From a name and overrides to typed settings: merging, types, ranges, nearest keys, and the place of every error."""

import random

import pytest
from omnipatch.core.blocks.registry import describe
from omnipatch.core.compose import resolve_objective
from omnipatch.core.errors import InputError
from omnipatch.core.settings import load, load_plain, shipped_recipes, to_plain, to_yaml

TOY = """\
name: toy
modality:
  name: toy
encoder: {name: transformer, width: 16, depth: 1, heads: 2}
objective: jepa
trainer:
  max_steps: 20
"""


@pytest.fixture
def toy(tmp_path, toy_registered):
    path = tmp_path / "toy.yaml"
    path.write_text(TOY)
    return str(path)


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_every_shipped_recipe_loads_and_comes_back_from_its_own_yaml(name, tmp_path):
    settings = load(name)
    assert settings.recipe.name == name
    assert settings.recipe.description
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(settings.recipe))
    assert to_plain(load(str(path)).recipe) == to_plain(settings.recipe)


def test_overrides_of_every_form(toy):
    recipe = load(
        toy,
        ["--seed", "3", "--optimizer.lr=1e-3", "--evaluate.protocols", "knn,linear", "--evaluate.label_fractions",
         "[0.1, 1.0]", "--trainer.tensorboard", "--modality.window_s", "2"],
    )  # fmt: skip
    assert recipe.recipe.seed == 3
    assert recipe.recipe.optimizer.lr == 1e-3
    assert recipe.recipe.evaluate.protocols == ("knn", "linear")
    assert recipe.recipe.evaluate.label_fractions == (0.1, 1.0)
    assert recipe.recipe.trainer.tensorboard is True
    assert recipe.modality.config.window_s == 2.0


def test_lists_of_one_and_dashes_in_keys(toy):
    assert load(toy, ["--evaluate.models", "pretrained"]).recipe.evaluate.models == ("pretrained",)
    assert load(toy, ["--trainer.max-steps", "4"]).recipe.trainer.max_steps == 4


def test_a_new_name_drops_the_options_of_the_old_one(toy):
    recipe = load(toy, ["--objective", "mae", "--objective.views.context.mask.ratio", "0.5"]).recipe
    assert recipe.objective["name"] == "mae"
    assert recipe.objective["views"]["context"]["mask"]["ratio"] == 0.5
    assert "predictor" not in recipe.objective["heads"]


def test_another_encoder_drops_the_options_of_the_recipes_own():
    encoder = load("rec-masked", ["--encoder.name", "id_graph", "--encoder.width", "32"]).recipe.encoder
    assert encoder == {**describe("encoder")["id_graph"], "name": "id_graph", "width": 32}
    assert load("rec-masked", ["--encoder", "id_graph"]).recipe.encoder["name"] == "id_graph"
    same = load("rec-masked", ["--encoder.name", "set", "--encoder.width", "32"]).recipe.encoder
    assert (same["width"], same["hidden"]) == (32, load("rec-masked").recipe.encoder["hidden"])


def test_the_order_of_a_name_and_of_its_keys_does_not_matter(toy):
    keys = ["--objective.views.context.mask.ratio", "0.5"]
    first, last = (load(toy, over).recipe for over in (["--objective", "mae", *keys], [*keys, "--objective", "mae"]))
    assert first == last


def test_another_objective_keeps_what_the_recipe_says_of_views():
    own, other = (load("eeg-jepa", over).recipe.objective for over in ([], ["--objective", "jepa-sigreg"]))
    assert other["name"] == "jepa-sigreg"
    assert other["views"]["context"]["mask"] == own["views"]["context"]["mask"]


def test_a_recipe_is_complete(toy):
    """Defaults of today are written down, so that a run folder means the same tomorrow."""
    recipe = load(toy).recipe
    assert recipe.modality == {"name": "toy", "window_s": 4.0, "gain": 1.0}
    assert set(describe("encoder")["transformer"]) <= set(recipe.encoder)
    assert resolve_objective({"name": "jepa"}) == recipe.objective


def test_what_an_override_takes_out_of_an_objective_stays_out(toy, tmp_path):
    first = load(toy, ["--objective.regularizers.guard", "null"]).recipe
    assert first.objective["regularizers"] == {"guard": None}
    (tmp_path / "config.yaml").write_text(to_yaml(first))
    again = load(str(tmp_path / "config.yaml")).recipe
    assert again == first
    assert resolve_objective(again.objective)["regularizers"] == {}


def test_null_takes_the_choice_of_a_recipe_back(toy):
    over = ["--modality.window_s", "2", "--trainer.max_steps", "null", "--data.limit", "null"]
    recipe = load(toy, over).recipe
    assert recipe.trainer.max_steps == type(recipe.trainer)().max_steps != 20
    assert recipe.data.limit is None
    assert load(toy, [*over, "--modality.window_s", "null"]).modality.config.window_s == 4.0
    leads = load("ecg-jepa", ["--modality.leads", "null"]).modality.config.leads
    assert len(leads) == 12


TASKS = """\
modality: {name: skeleton, patch_frames: 8}
finetune: {steps: 120, lr: 1.0e-3}
tasks:
  action: {modality: {patch_frames: 4}, finetune: {steps: 400}}
demo: {finetune: {steps: 60}}
"""


def test_a_recipe_says_what_differs_for_a_task(tmp_path):
    path = tmp_path / "tasks.yaml"
    path.write_text(TASKS)

    def asked(*over):
        recipe = load(str(path), over).recipe
        assert recipe.finetune.lr == 1.0e-3
        return recipe.modality["patch_frames"], recipe.finetune.steps

    assert asked() == (8, 60)  # the demo's own task is another
    assert asked("--data.name", "ui-prmd") == (8, 120)
    assert asked("--data.name", "msr-action3d") == (4, 400)  # the first task of the set
    assert asked("--data.manifest", "my.csv", "--data.task", "action") == (4, 400)
    assert asked("--data.name", "msr-action3d", "--finetune.steps", "7") == (4, 7)
    assert asked("--data.task", "action") == (4, 60)  # what is embedded is small, whatever is asked of it
    assert load(str(path), ["--modality", "speech", "--data.name", "als"]).recipe.finetune.steps == 120  # no task of it


@pytest.mark.parametrize(
    ("tasks", "words"),
    [
        ("{actoin: {}}", r"tasks\.yaml:4: unknown task actoin in tasks.*did you mean 'action'"),
        ("{action: 3}", r"tasks\.yaml:4: action is a section of recipe keys, got 3"),
        ("{action: {finetune: {stepz: 4}}}", r"tasks\.yaml:4: unknown key finetune\.stepz"),
        ("{action: {tasks: {}}}", r"unknown key tasks"),
        ("[action]", r"tasks is a section of recipe keys"),
    ],
)
def test_what_is_wrong_in_a_task_section_is_named(tmp_path, tasks, words):
    path = tmp_path / "tasks.yaml"
    path.write_text(f"modality: skeleton\ndata: {{name: msr-action3d}}\n\ntasks: {tasks}\n")
    with pytest.raises(InputError, match=words):
        load(str(path))


def test_a_misspelt_modality_beside_a_task_section_is_named_with_its_place(tmp_path):
    path = tmp_path / "tasks.yaml"
    path.write_text("modality: skeletn\ntasks: {action: {}}\n")
    with pytest.raises(InputError, match=r"tasks\.yaml:1: .*skeletn.*did you mean 'skeleton'"):
        load(str(path))


def test_lightnings_own_keys_go_through(toy):
    assert load(toy, ["--trainer.detect_anomaly", "true"]).recipe.trainer.extra == {"detect_anomaly": True}


def test_a_manifest_implies_its_name(toy):
    assert load(toy, ["--data.manifest", "my.csv"]).recipe.data.name == "manifest"


def test_what_a_recipe_says_beside_an_override_is_no_conflict(tmp_path, toy):
    named = tmp_path / "named.yaml"
    named.write_text(TOY + "split: {folds: 7}\ndata: {name: demo}\n")
    assert load(str(named), ["--data.manifest", "my.csv"]).recipe.data.manifest == "my.csv"
    assert load(str(named), ["--split.kind", "kfold", "--split.folds", "3"]).recipe.split.folds == 3


@pytest.mark.parametrize(
    ("override", "words"),
    [
        (["--encoder.widht", "384"], r"--encoder\.widht: .*did you mean 'width'"),
        (["--encoder.width", "wide"], r"--encoder\.width: .*got wide, expected a whole number"),
        (["--trainer.max_stepz", "4"], r"--trainer\.max_stepz: unknown key.*did you mean 'max_steps'"),
        (["--trainer.max_steps", "0"], r"--trainer\.max_steps: out of range.*expected above 0"),
        (["--trainer.most_patches", "1"], r"--trainer\.most_patches: out of range.*expected 0, or at least 2"),
        (["--trainer.max_steps", "true"], r"expected a whole number"),
        (["--optimizer.schedule", "cos"], r"expected one of cosine, infinite, constant"),
        (["--optimzer.lr", "1"], r"unknown key optimzer; did you mean 'optimizer'"),
        (["--modality.windw_s", "4"], r"unknown key modality\.windw_s; did you mean 'window_s'"),
        (["--modality", "tooy"], r"unknown modality 'tooy'; did you mean 'toy'"),
        (["--objective", "jepaa"], r"--objective: unknown objective 'jepaa'; did you mean 'jepa"),
        (
            ["--objective.views.context.mask.ratoi", "0.4"],
            r"--objective\.views\.context\.mask\.ratoi.*did you mean 'ratio'",
        ),
        (["--objective.terms.latent.loss", "l3"], r"--objective\.terms\.latent\.loss: unknown loss 'l3'"),
        (["--encoder.heads", "0"], r"--encoder\.heads: .*out of range.*got 0, expected above 0"),
        (["--split.test_fraction", "1.5"], r"expected above 0 and below 1"),
        (["--split.folds", "50"], r"--split\.folds: .*no effect.*got 50 with split\.kind auto.*add --split"),
        (["--split", "{kind: holdout, folds: 3}"], r"--split: .*got 3 with split\.kind holdout"),
        (["--split.kind", "holdout", "--split", "{folds: 3}"], r"--split: .*got 3 with split\.kind holdout"),
        (["--split", "{kind: kfold, test_fraction: 0.3}"], r"--split: .*got 0\.3 with split\.kind kfold.*split\.folds"),
        (["--split.kind", "official", "--split.test_fraction", "0.3"], r"got 0\.3 with split\.kind official"),
        (["--data.manifest", "my.csv", "--data.name", "demo"], r"got --data\.name demo and --data\.manifest my\.csv"),
        (["--data", "mitdb"], r"--data: expected a section of keys"),
        (["--objective", "5"], r"objective is a name or a section"),
        (["--encoder.width.more", "3"], r"--encoder"),
        (["--", "3"], r"unexpected argument '--'"),
        (["--a..b", "3"], r"malformed key --a\.\.b"),
        (["stray"], r"unexpected argument 'stray'"),
    ],
)
def test_errors_name_key_place_and_nearest(toy, override, words):
    with pytest.raises(InputError, match=words):
        load(toy, override)


@pytest.mark.parametrize(
    ("recipe", "objective", "words"),
    [
        ("ecg-jepa", "mae", r"ecg-jepa\.yaml:\d+: what the recipe says .* does not fit mae.*run .*ecg-mae.*, or take"),
        (
            "ecg-jepa",
            "masked-ids",
            r"does not fit masked-ids.*; use a recipe made for it, or take it out: --objective\.",
        ),
        ("eeg-jepa", "jepaa", r"--objective: unknown objective 'jepaa'; did you mean 'jepa'"),
    ],
)
def test_another_objective_that_the_recipe_does_not_fit(recipe, objective, words):
    with pytest.raises(InputError, match=words):
        load(recipe, ["--objective", objective])


def test_an_error_of_the_file_names_its_line(tmp_path, toy_registered):
    path = tmp_path / "r.yaml"
    path.write_text(TOY.replace("max_steps", "max_step"))
    with pytest.raises(InputError, match=r"r\.yaml:7: unknown key trainer\.max_step; did you mean 'max_steps'"):
        load(str(path))


def test_unknown_recipe_names_the_nearest():
    with pytest.raises(InputError, match="unknown recipe 'ecg-japa'; did you mean 'ecg-jepa'"):
        load("ecg-japa")


def test_saved_data_is_checked_like_a_file(toy_registered):
    with pytest.raises(InputError, match="unknown key trainer"):
        load_plain({"modality": {"name": "toy"}, "trainer": {"nope": 1}}, "config.json")


def test_five_hundred_mutated_recipes_give_settings_or_one_sentence(tmp_path, toy_registered):
    """Bytes are flipped, dropped, doubled and swapped; nothing but InputError may come out."""
    rng, path, refused = random.Random(0), tmp_path / "m.yaml", 0
    for _ in range(500):
        text = list(TOY)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(text))
            kind = rng.randrange(4)
            if kind == 0:
                text[at] = chr(rng.randrange(32, 127))
            elif kind == 1:
                del text[at]
            elif kind == 2:
                text.insert(at, text[rng.randrange(len(text))])
            else:
                other = rng.randrange(len(text))
                text[at], text[other] = text[other], text[at]
        path.write_text("".join(text))
        try:
            load(str(path))
        except InputError as error:
            refused += bool(str(error))
    assert refused > 100
