"""Compositions as data: overrides, checks that name the nearest key, and new objectives in a few lines."""

from __future__ import annotations

from importlib.resources import files

import pytest
import torch
import yaml
from blocks_kit import batch, objective, run
from omnipatch.core.compose import composition, merge, resolve_objective, shipped_objectives
from omnipatch.core.errors import InputError


@pytest.mark.parametrize("name", shipped_objectives())
def test_shipped_compositions_are_short_and_cite_their_paper(name):
    text = files("omnipatch.core.objectives").joinpath(f"{name}.yaml").read_text()
    assert len(text.splitlines()) <= 25
    assert text.startswith("#")
    assert "https://arxiv.org/abs/" in text
    assert resolve_objective({"name": name})["terms"]


# ---- overrides ----------------------------------------------------------------------------------------------------


def test_overrides_merge_deeply_and_leave_the_shipped_one_alone():
    before = composition("jepa")
    got = resolve_objective(
        {"name": "jepa", "views": {"context": {"mask": {"ratio": 0.4}}}, "regularizers": {"guard": {"weight": 0.7}}}
    )
    assert got["views"]["context"]["mask"] == {"name": "span", "span": 1.0, "ratio": 0.4}
    assert got["regularizers"]["guard"]["weight"] == 0.7
    assert got["regularizers"]["guard"]["gamma"] == 0.8
    assert composition("jepa") == before


def test_a_new_name_replaces_the_entry():
    got = resolve_objective({"name": "jepa", "views": {"context": {"mask": {"name": "random", "ratio": 0.4}}}})
    assert got["views"]["context"]["mask"] == {"name": "random", "ratio": 0.4}


def test_the_same_name_merges_and_a_number_becomes_a_schedule():
    got = resolve_objective(
        {"name": "directpred", "targets": {"teacher": {"momentum": {"name": "cosine", "start": 0.9, "end": 1.0}}}}
    )
    assert got["targets"]["teacher"]["head"] == "projector"
    assert got["targets"]["teacher"]["momentum"]["name"] == "cosine"


def test_a_bare_name_takes_options():
    got = resolve_objective({"name": "jepa", "terms": {"latent": {"loss": {"beta": 2.0}}}})
    assert got["terms"]["latent"]["loss"] == {"name": "smooth_l1", "beta": 2.0}
    assert merge({"loss": "l2"}, {"loss": {"name": "l1"}}) == {"loss": {"name": "l1"}}


def test_null_removes_an_entry():
    assert resolve_objective({"name": "jepa", "regularizers": {"guard": None}})["regularizers"] == {}
    assert resolve_objective({"name": "jepa", "views": {"context": None}})["views"] == {"context": None}
    with pytest.raises(InputError, match=r"objective.terms.latent.head refers to 'predictor'"):
        resolve_objective({"name": "jepa", "heads": {"predictor": None}})


def test_nothing_left_is_an_error():
    with pytest.raises(InputError, match="has no terms"):
        resolve_objective({"name": "mae", "terms": {"reconstruction": None}})


# ---- mistakes -----------------------------------------------------------------------------------------------------

MISTAKES = [
    ({"name": "jeppa"}, "unknown objective 'jeppa'.*did you mean 'jepa'"),
    ({"name": "jeppa", "terms": {"latent": {"weight": 2.0}}}, "unknown objective 'jeppa'.*did you mean 'jepa'"),
    ({"name": "jepa", "veiws": {}}, "unknown key objective.veiws.*did you mean 'views'"),
    ({"name": "jepa", "views": {"contxt": {"mask": {"ratio": 0.5}}}}, "objective.views.contxt.*did you mean 'context'"),
    ({"name": "jepa", "views": {"context": {"msk": {}}}}, "objective.views.context.msk.*did you mean 'mask'"),
    ({"name": "jepa", "views": {"context": {"mask": {"ratoi": 0.5}}}}, "context.mask.ratoi.*did you mean 'ratio'"),
    ({"name": "jepa", "views": {"context": {"mask": {"name": "spn"}}}}, "unknown mask 'spn'.*did you mean 'span'"),
    ({"name": "jepa", "heads": {"predictr": {"depth": 2}}}, "objective.heads.predictr.*did you mean 'predictor'"),
    ({"name": "jepa", "heads": {"predictor": {"dept": 2}}}, "objective.heads.predictor.dept.*did you mean 'depth'"),
    ({"name": "jepa", "targets": {"techer": {"layers": 2}}}, "objective.targets.techer.*did you mean 'teacher'"),
    ({"name": "jepa", "targets": {"teacher": {"momentun": 2}}}, "teacher.momentun.*did you mean 'momentum'"),
    ({"name": "jepa", "terms": {"latnt": {"weight": 2.0}}}, "objective.terms.latnt.*did you mean 'latent'"),
    ({"name": "jepa", "terms": {"latent": {"wieght": 2.0}}}, "terms.latent.wieght.*did you mean 'weight'"),
    (
        {"name": "jepa", "terms": {"latent": {"loss": "smooth_l2"}}},
        "unknown loss 'smooth_l2'.*did you mean 'smooth_l1'",
    ),
    ({"name": "jepa", "terms": {"latent": {"site": "targets"}}}, "terms.latent.site, got targets, expected target, "),
    ({"name": "jepa", "terms": {"latent": {"source": "contex"}}}, "latent.source refers to 'contex'.*'context'"),
    ({"name": "jepa", "regularizers": {"gard": {"weight": 1}}}, "objective.regularizers.gard.*did you mean 'guard'"),
    ({"name": "jepa", "regularizers": {"guard": {"gama": 1}}}, "guard.gama.*did you mean 'gamma'"),
    ({"name": "jepa", "regularizers": {"guard": {"site": "tokens"}}}, "guard.site, got tokens, expected pooled, token"),
    ({"name": "jepa", "regularizers": {"guard": {"source": None}}}, "guard needs source"),
    ({"name": "jepa", "heads": {"spare": {"name": "projector"}}}, "objective.heads.spare is used by no term.*null"),
    ({"name": "jepa", "targets": {"spare": {"name": "raw"}}}, "objective.targets.spare is used by no term.*null"),
    ({"name": "jepa", "heads": {"values": {"name": "linear"}}}, "objective.heads.values cannot be called that"),
    ({"name": "jepa", "views": 3}, "objective.views has the wrong form, got 3"),
    ({"name": "jepa", "terms": {"latent": "l2"}}, "objective.terms.latent has the wrong form, got l2"),
    ({"terms": {"t": {"site": "pooled", "source": "a"}}}, "objective.terms.t needs target"),
]


@pytest.mark.parametrize(("options", "words"), MISTAKES)
def test_mistakes_are_one_sentence_that_names_the_nearest(options, words):
    with pytest.raises(InputError, match=words) as caught:
        resolve_objective(options)
    assert "\n" not in str(caught.value)


CONTRADICTIONS = [
    ({"name": "jepa", "views": {"context": None}}, "predicts at hidden patches, but view 'context' hides none"),
    ({"name": "mae", "heads": {"decoder": {"name": "linear"}}}, "hidden patches without a head that can"),
    ({"name": "mae", "terms": {"reconstruction": {"site": "pooled"}}}, "'decoder', which answers queries at patches"),
    (
        {"name": "jepa", "regularizers": {"guard": {"head": "predictor"}}},
        "'predictor', which answers queries at patches",
    ),
    (
        {"name": "byol", "terms": {"b_to_a": {"head": ["predictor", "projector"]}}},
        "gives head 'predictor' vectors of two widths, got 32, expected 128",
    ),
    ({"name": "jepa", "views": {"context": {"mask": {"ratio": 1.5}}}}, "mask ratio must lie between 0 and 1, got 1.5"),
]


@pytest.mark.parametrize(("options", "words"), CONTRADICTIONS)
def test_contradictions_are_found_before_the_first_step(options, words):
    with pytest.raises(InputError, match=words):
        objective(options)


def test_pooled_views_need_the_same_number_of_masks():
    mask = {"name": "random", "repeats": 2}
    options = {
        "views": {"a": {}, "b": {"mask": mask}},
        "targets": {"t": {"name": "ema"}},
        "terms": {"x": {"site": "pooled", "source": "a", "view": "b", "target": "t", "loss": "l2"}},
    }
    with pytest.raises(InputError, match=r"objective.terms.x compares whole rows of views with different numbers"):
        objective(options)(batch(), 0, 0)
    options["terms"]["x"] |= {"source": "b", "view": "a"}
    assert torch.isfinite(objective(options)(batch(), 0, 0).loss)


# ---- new objectives, no new code ----------------------------------------------------------------------------------

CUSTOM = {
    "data2vec": """
views: {context: {mask: {name: span, span: 0.3, ratio: 0.6, repeats: 4}}}
heads: {decoder: {name: predictor, depth: 1}}
targets:
  teacher: {name: ema, layers: 2, normalize: instance, momentum: {name: linear, start: 0.99, end: 0.999}}
terms:
  latent: {site: target, source: context, head: decoder, target: teacher, loss: l2}
""",
    "mae-difference-gradient": """
views: {context: {mask: {name: random, ratio: 0.6}}}
heads:
  waves: {name: decoder}
  slopes: {name: decoder, depth: 1}
  scale: {name: decoder, depth: 1, out: 32}
targets: {waves: {name: raw}, slopes: {name: difference}, scale: {name: gradient, radii: [1, 2]}}
terms:
  waves: {site: target, source: context, head: waves, target: waves, loss: l2}
  slopes: {site: target, source: context, head: slopes, target: slopes, loss: l1, weight: 0.5}
  scale: {site: target, source: context, head: scale, target: scale, loss: l2, weight: {name: cosine, start: 1, end: 0}}
""",
    "simsiam": """
views: {a: {augment: true}, b: {augment: true}}
heads: {projector: {name: projector, out: 32}, predictor: {name: projector, out: 32, hidden: 16}}
targets: {other: {name: self, head: projector, stop_gradient: true}}
terms:
  ab: {site: pooled, source: a, view: b, head: [projector, predictor], target: other, loss: cosine}
  ba: {site: pooled, source: b, view: a, head: [projector, predictor], target: other, loss: cosine}
""",
    "ibot": """
views: {masked: {augment: true, mask: {name: random, ratio: 0.4}}}
heads: {fill: {name: predictor}, prototypes: {name: prototypes, count: 16}}
targets: {teacher: {name: centred, head: prototypes, momentum: 0.99}}
terms:
  patch: {site: target, source: masked, head: [fill, prototypes], target: teacher, loss: soft_cross_entropy}
regularizers: {spread: {name: koleo, source: masked, weight: 0.1}}
""",
    "denoise-all": """
views: {context: {mask: {name: group, ratio: 0.3}}}
heads: {decoder: {name: decoder}}
targets: {signal: {name: raw}}
terms: {everything: {site: all, source: context, head: decoder, target: signal, loss: l1}}
""",
}


@pytest.mark.parametrize("name", CUSTOM)
def test_a_new_objective_is_a_few_lines_of_yaml(name):
    assert len(CUSTOM[name].strip().splitlines()) < 25
    built = objective({"name": name, **yaml.safe_load(CUSTOM[name])})
    assert built.name == name
    losses = run(built, batch(8, 12), 12)
    assert all(torch.isfinite(torch.tensor(losses)))
    if name != "ibot":  # its centre moves while it learns
        assert losses[-1] < losses[0]


def test_a_composition_needs_no_name():
    options = yaml.safe_load(CUSTOM["simsiam"])
    assert resolve_objective(options)["name"] == "custom"
