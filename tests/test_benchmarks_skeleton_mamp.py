"""The comparison with MAMP: what its rows hold, and how it loads and times a peer. No checkout is needed."""

from __future__ import annotations

import contextlib
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from omnipatch.core.blocks.views import ViewSampler
from omnipatch.core.rng import RowRandom
from omnipatch.core.settings import load

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"

# one map, with the peer's names, arguments and shapes
MODEL = """
import torch

class Transformer(torch.nn.Module):
    def __init__(self, dim_feat, decoder_dim_feat, depth, decoder_depth, num_heads, num_frames, num_joints,
                 t_patch_size, mlp_ratio, qkv_bias, norm_skes_loss):
        super().__init__()
        self.seen = []
        self.map = torch.nn.Linear(3, 3)

    def forward(self, x, mask_ratio, motion_stride, motion_aware_tau):
        self.seen.append((tuple(x.shape), mask_ratio, motion_stride, motion_aware_tau))
        return self.map(x.movedim(1, -1)).square().mean(), None, None
"""


@pytest.fixture
def script(monkeypatch):
    """`script("name")` imports benchmarks/name.py as the scripts import each other."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


@pytest.fixture
def checkout(tmp_path):
    """A folder with the layout of the peer's, and a network of one layer."""
    (tmp_path / "model_mamp").mkdir()
    (tmp_path / "model_mamp" / "transformer.py").write_text(MODEL)
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == "model_mamp"]:
        del sys.modules[name]


def recipe(script, side):
    return load(*script("skeleton_mamp").OURS[side])


@pytest.mark.parametrize(("side", "tokens"), [("same", 750), ("cross", 750), ("compact", 180)])
def test_rows_have_the_tokens_and_the_encoder_they_are_said_to_have(script, side, tokens):
    benchmark, settings = script("skeleton_mamp"), recipe(script, side)
    encoder = settings.recipe.encoder
    assert {k: encoder[k] for k in ("width", "depth", "heads")} == {"width": 256, "depth": 8, "heads": 8}
    for persons in (1, 2):
        made = benchmark.tokens(settings.modality, benchmark.clips(1, persons))
        assert made.lengths.tolist() == [tokens * persons]


def test_an_absent_person_has_no_tokens_with_us_and_zeros_with_the_peer(script):
    benchmark = script("skeleton_mamp")
    made = benchmark.batches(2, 2)
    assert [clip.shape[1] for clip in made] == [2, 1]
    single = benchmark.peers(made[1], 2)
    assert single.shape == (2, 3, 120, 25, 2)
    assert (single[..., 1] == 0).all()
    np.testing.assert_array_equal(single[1, :, 7, 3, 0], made[1][1, 0, 7, 3])
    assert benchmark.tokens(recipe(script, "same").modality, made[1]).n_patches == 750


@pytest.mark.parametrize(("side", "asked"), [("same", 675), ("cross", 169)])
def test_as_many_patches_are_hidden_as_by_the_peer(script, side, asked):
    benchmark, settings = script("skeleton_mamp"), recipe(script, side)
    made = benchmark.tokens(settings.modality, benchmark.clips(2, 1))
    sampler = ViewSampler("context", **settings.recipe.objective["views"]["context"])
    view = sampler(made, RowRandom(0, 0, made.window), None)
    assert view.visible.valid.sum(1).tolist() == [75, 75]
    assert view.targets.valid.sum(1).tolist() == [asked, asked]


def test_the_decoder_of_the_same_shape_is_the_peers(script):
    head = recipe(script, "same").recipe.objective["heads"]["decoder"]
    assert head == {"name": "decoder", "width": 256, "depth": 5, "heads": 8, "positions": "fourier"}


def test_a_peer_learns_from_every_batch_and_leaves_the_path_as_it_was(script, checkout):
    benchmark, path = script("skeleton_mamp"), list(sys.path)
    net, step = benchmark.contestant(checkout, "peer", 2, 2, contextlib.nullcontext)
    before = net.map.weight.detach().clone()
    step()
    assert (net.map.weight != before).any()
    assert net.seen == [((2, 3, 120, 25, 2), 0.9, 1, 0.8)] * 2
    assert sys.path == path


def test_a_folder_that_is_no_checkout_is_refused_in_words(script, tmp_path):
    with pytest.raises(SystemExit, match=r"not a checkout of MAMP: model_mamp/transformer\.py"):
        script("mamp").network(tmp_path)


def test_the_table_holds_each_row_against_both_precisions_of_the_peer(script, monkeypatch, capsys):
    benchmark = script("skeleton_mamp")
    started = []

    class Quick:
        """A contestant that takes a second in float32 and a quarter of it otherwise, two more seconds in round two."""

        def __init__(self, name, arguments):
            self.name, self.seconds, self.peak_mib = name, [], 10.0
            self.takes = 1.0 if arguments[-1].endswith("fp32") else 0.25
            started.append(arguments)

        def round(self):
            self.seconds.append(self.takes * (1 + 2 * len(self.seconds)))

        def close(self):
            pass

    monkeypatch.setattr(script("bench"), "Contestant", Quick)
    monkeypatch.setattr(script("bench"), "FAST_BF16", True)
    benchmark.compare(Path("somewhere"), batch=4, persons=2, rounds=2, options=["--threads=2"])
    said = capsys.readouterr().out
    assert [a[-1] for a in started] == list(dict.fromkeys(benchmark.ROWS.values()))
    assert all(a[1:6] == ["somewhere", "--batch=4", "--persons=2", "--threads=2", "--worker"] for a in started)
    assert "a second person in half" in said
    rows = [line for line in said.splitlines() if line.startswith(benchmark.EQUAL)]
    assert [float(line.split()[4]) for line in rows] == [4.00, 1.00]  # against each precision of the peer
    assert all(float(line.split()[3]) == 16.0 for line in rows)  # eight clips in half a second


@pytest.mark.slow
def test_workers_time_themselves(script, checkout, monkeypatch, capsys):
    benchmark = script("skeleton_mamp")
    rows = {name: benchmark.ROWS[name] for name in (benchmark.AS_SHIPPED, benchmark.EQUAL)}
    monkeypatch.setattr(benchmark, "ROWS", rows)
    monkeypatch.setattr(script("bench"), "FAST_BF16", True)
    benchmark.compare(checkout, batch=1, persons=1, rounds=1, options=["--processor-time"])
    assert capsys.readouterr().out.count("1.00 (1.00 to 1.00)") == 2


def test_one_of_our_steps_moves_the_weights(script, monkeypatch):
    benchmark = script("skeleton_mamp")
    name, options = benchmark.OURS["cross"]
    small = [o for o in options if "encoder." not in o]
    monkeypatch.setitem(benchmark.OURS, "cross", (name, [*small, "--encoder.width=16", "--encoder.heads=1"]))
    objective, step = benchmark.contestant(Path(), "cross", 1, 1, contextlib.nullcontext)
    before = torch.cat([p.detach().flatten().clone() for p in objective.parameters()])
    step()
    assert (torch.cat([p.detach().flatten() for p in objective.parameters()]) != before).any()
