"""The shipped skeleton recipes through the command line: short, but with nothing replaced."""

import json

import numpy as np
import pytest
from cli_kit import omni
from omnipatch.core.settings import shipped_recipes
from skeleton_tokens_kit import JOINTS, moving

SHORT = ("--fast-dev-run", "--encoder.width", 48, "--encoder.depth", 1,
         "--evaluate.protocols", "linear", "--evaluate.models", "pretrained,random-init")  # fmt: skip
RECIPES = [name for name in sorted(shipped_recipes()) if name.startswith("skeleton-")]


def test_a_shipped_recipe_runs(tmp_path):
    done = omni("run", "skeleton-jepa", "--out", tmp_path / "run", *SHORT, "--data.limit", 64)
    assert done.code == 0, done.err
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert (results["modality"], results["dataset"]) == ("skeleton", "demo")
    assert {row["model"] for row in results["rows"]} == {"pretrained", "random-init"}
    assert "synthetic demo data" in (tmp_path / "run/report.html").read_text()


@pytest.mark.parametrize("name", RECIPES)
def test_a_dry_run_of_a_shipped_recipe(name):
    done = omni("run", name, "--dry-run", "--trainer.batch_size", 4, "--data.limit", 12)
    assert done.code == 0, done.err
    assert "parameters" in done.out


def test_ones_own_clips_by_manifest(tmp_path):
    """Two kinds of movement by six people in tables, of three sets of joints, one file broken."""
    rows = ["path,subject,label"]
    for person in range(6):
        kept = JOINTS[person % 3 :: 2]
        for kind, size in (("calm", 1.0), ("lively", 4.0)):
            x = moving(kept, seed=10 * person)
            x = x[..., :1] + size * (x - x[..., :1])
            lines = ["frame,joint,x,y,z"] + [
                f"{frame},{joint},{','.join(f'{v:.4f}' for v in x[i, :, frame])}"
                for frame in range(x.shape[2]) for i, joint in enumerate(kept)
            ]  # fmt: skip
            (tmp_path / f"{kind}{person}.csv").write_text("\n".join(lines))
            rows.append(f"{kind}{person}.csv,p{person},{kind}")
    (tmp_path / "calm0.csv").write_bytes(np.random.default_rng(0).bytes(500))
    (tmp_path / "my.csv").write_text("\n".join(rows))
    done = omni("run", "skeleton-jepa", "--data.manifest", tmp_path / "my.csv", "--modality.file_sfreq_hz", 30,
                "--out", tmp_path / "run", *SHORT)  # fmt: skip
    assert done.code == 0, done.err
    assert "calm0" in (tmp_path / "run/report.html").read_text()
