"""The comparison with EEG-VJEPA: what its rows hold, and how it loads and times a peer. No checkout is needed."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
import torch
from omnipatch.core.blocks.views import ViewSampler
from omnipatch.core.rng import RowRandom
from omnipatch.core.sequence import PatchSequence
from omnipatch.core.settings import load

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
# patches that the peer's masks show and ask for, as counted on its checkout: means of 400 batches of 2
SEEN, ASKED = {"short": 140.5, "long": 165.0}, {"short": 320.5, "long": 265.0}

# one layer each, with the peer's names, arguments and shapes
FILES = {
    "models/vision_transformer.py": """
import torch
from src.masks.utils import apply_masks

class Net(torch.nn.Module):
    def __init__(self, patch_size, tubelet_size):
        super().__init__()
        size = (tubelet_size, *patch_size)
        self.conv = torch.nn.Conv3d(1, 384, size, stride=size)

    def forward(self, x, masks=None):
        x = self.conv(x).flatten(2).transpose(1, 2)
        return x if masks is None else apply_masks(x, [masks])

def vit_small(img_size, patch_size, num_frames, tubelet_size, uniform_power, use_sdpa):
    return Net(patch_size, tubelet_size)
""",
    "models/predictor.py": """
import torch

class Net(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.map = torch.nn.Linear(width, width)

    def forward(self, context, hidden):
        return self.map(context.mean(1, keepdim=True)).expand(-1, hidden.shape[1], -1)

def vit_predictor(embed_dim, **kwargs):
    return Net(embed_dim)
""",
    "models/utils/multimask.py": """
import torch

class MultiMaskWrapper(torch.nn.Module):
    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone

    def forward(self, x, masks=None):
        return self.backbone(x) if masks is None else [self.backbone(x, m) for m in masks]

class PredictorMultiMaskWrapper(MultiMaskWrapper):
    def forward(self, context, targets, seen, hidden):
        return [self.backbone(z, m) for z, m in zip(context, hidden)]
""",
    "masks/multiblock3d.py": """
import torch

class _MaskGenerator:
    def __init__(self, npred, **kwargs):
        self.count = 40 * npred

    def __call__(self, batch):
        order = torch.stack([torch.randperm(512) for _ in range(batch)])
        return order[:, self.count :], order[:, : self.count]
""",
    "masks/utils.py": """
import torch

def apply_masks(x, masks, concat=True):
    found = [torch.gather(x, 1, m.unsqueeze(-1).expand(-1, -1, x.shape[-1])) for m in masks]
    return torch.cat(found) if concat else found
""",
}


@pytest.fixture
def script(monkeypatch):
    """`script("name")` imports benchmarks/name.py as the scripts import each other."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


@pytest.fixture
def checkout(tmp_path):
    """A folder with the layout of the peer's, and networks of one layer."""
    for name, text in FILES.items():
        path = tmp_path / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    yield tmp_path
    for name in [name for name in sys.modules if name == "src" or name.startswith("src.")]:
        del sys.modules[name]


def objective_options(script, side):
    return load("eeg-vjepa", script("eeg_vjepa").OURS[side]).recipe


@pytest.mark.parametrize("side", ["recipe", "published", "recipe, half"])
def test_rows_are_of_the_peers_size(script, side):
    recipe = objective_options(script, side)
    assert {k: recipe.encoder[k] for k in ("width", "depth", "heads")} == {"width": 384, "depth": 12, "heads": 6}
    predictor = recipe.objective["heads"]["predictor"]
    assert {k: predictor[k] for k in ("width", "depth", "heads")} == {"width": 384, "depth": 6, "heads": 6}
    assert recipe.objective["terms"].keys() == {"short", "long"}
    published = side == "published"
    assert (recipe.encoder["positions"], predictor["positions"]) == (("fourier" if published else "rotary"),) * 2
    assert (recipe.objective["regularizers"]["guard"] is None) == published


@pytest.mark.parametrize("name", ["short", "long"])
def test_masks_show_and_ask_for_as_many_patches_as_the_peers(script, name):
    settings = load("eeg-vjepa", script("eeg_vjepa").OURS["published"])
    spec = settings.modality.spec
    place = torch.cartesian_prod(torch.arange(8), torch.arange(4), torch.arange(16)).float()
    coords = (place * torch.tensor(spec.axis_scales)).expand(2, -1, -1)
    made = PatchSequence.build(spec, coords, values=torch.zeros(2, 512, spec.patch_size), window=torch.arange(2))
    sampler = ViewSampler(name, **settings.recipe.objective["views"][name])
    view = sampler(made, RowRandom(0, 0, made.window), None)
    assert view.visible.valid.sum(1).tolist() == [pytest.approx(SEEN[name], abs=1)] * 2
    assert view.targets.valid.sum(1).tolist() == [pytest.approx(ASKED[name], abs=1)] * 2


def test_a_peer_learns_and_leaves_the_path_as_it_was(script, checkout):
    path = list(sys.path)
    modules, step = script("vjepa").pretraining(checkout, 2)
    before = [p.detach().clone() for p in modules[0].parameters()]
    step()
    assert any((a != b).any() for a, b in zip(before, modules[0].parameters(), strict=True))
    assert sys.path == path


def test_timed_masks_are_those_nearest_to_the_mean(script):
    sizes = [100, 140, 150, 160, 250]
    drawn = [[(torch.zeros(2, n), torch.zeros(2, 300))] for n in sizes]
    kept = script("vjepa").typical(drawn, 3)
    assert sorted(masks[0][0].shape[1] for masks in kept) == [140, 150, 160]


def test_a_folder_that_is_no_checkout_is_refused_in_words(script, tmp_path):
    with pytest.raises(SystemExit, match=r"not a checkout of eeg-vjepa: src/masks/multiblock3d\.py"):
        script("vjepa").pretraining(tmp_path, 2)


def test_the_table_holds_each_row_against_both_precisions_of_the_peer(script, checkout, monkeypatch, capsys):
    benchmark = script("eeg_vjepa")
    monkeypatch.setattr(benchmark, "ROWS", {"peer, as shipped (fp32)": "peer:fp32", "peer, bf16": "peer:bf16"})
    monkeypatch.setattr(script("bench"), "FAST_BF16", True)
    benchmark.compare(checkout, batch=1, rounds=2, steps=1, threads=1)
    said = capsys.readouterr().out
    assert said.count("1.00 (1.00 to 1.00)") == 2
    assert said.count("tokens/s") == 2


@pytest.mark.filterwarnings("ignore:.*sdp_kernel")
def test_attention_is_counted_where_a_network_chooses_the_kernel_itself(script):
    q = torch.randn(2, 3, 10, 4, requires_grad=True)

    def chosen():
        with torch.backends.cuda.sdp_kernel():
            return torch.nn.functional.scaled_dot_product_attention(q, q, q)

    forward = 2 * 2 * (2 * 3 * 10 * 10 * 4)
    assert script("flops").flops(chosen) == forward
    assert script("flops").flops(lambda: chosen().sum().backward()) == 3 * forward
