"""What another cap costs: an encoder pretrained on the 19 channels of eegmat, evaluated on other montages.

    OMP_NUM_THREADS=1 OMNIPATCH_DATA=DIR python benchmarks/eeg_montage.py [--recipe NAME] [--out DIR] [--KEY VALUE ...]

One pretraining a fold on all 19 channels, without the test subjects. Then the same windows, folds, seeds and weights,
with what each cap would have recorded of them:

    19 channels    as pretrained
    6 channels     `--modality.channels`: Fz, C3, C4, P3, P4, O1
    BrainVision    the channels that have an electrode of the cap of native/test.vhdr beside them, and
    BioSemi        the same for native/test.bdf

The recordings of the two caps are written as files whose channels have no names ("E1", "E2", ...), at the places where
the makers of the caps say that their electrodes are. So they are found by place alone, through the same reader and
command line as a lab's own files. What remains unlike another laboratory: the signals are those of eegmat's amplifier.

The loss is paired: 19 channels minus the other cap, of the same fold and seed. A pretraining that is found under
`--out` is used again. Keys of a recipe override the settings below.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
from collections.abc import Mapping
from pathlib import Path

import mne
import numpy as np
from omnipatch.core.cli import execute
from omnipatch.core.settings import NAMED_SECTIONS
from omnipatch.modalities.eeg.datasets import list_eegmat
from omnipatch.modalities.eeg.montage import place
from omnipatch.modalities.eeg.reading import read_eeg
from omnipatch.modalities.eeg.sites import Place
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

SPLIT = ["--split.kind", "kfold", "--split.folds", "7", "--data.task", "rest-task"]
EVALUATE = [
    "--evaluate.models", "pretrained,random-init,scratch,hand-features", "--evaluate.protocols", "linear,finetune",
    "--evaluate.seeds", "1", "--evaluate.subject_leak", "false", "--evaluate.occlusion", "0",
]  # fmt: skip
FEW = ("Fz", "C3", "C4", "P3", "P4", "O1")
CAPS = {"BrainVision": ("test.vhdr", "easycap-M1"), "BioSemi": ("test.bdf", "biosemi64")}  # file, MNE's places of it
BESIDE = 0.3  # on the unit sphere: neighbours of the 10-10 system
METRICS = ("balanced_accuracy", "auroc")


def electrodes_of(cap: str, native: Path) -> dict[str, Place]:
    """{site: place in metres, as the maker says} of the EEG electrodes that a file of this cap holds."""
    name, montage = CAPS[cap]
    known = mne.channels.make_standard_montage(montage).get_positions()["ch_pos"]
    return {site: tuple(known[site]) for site in read_eeg(native / name).sensors if site in known}


def beside(channels: tuple[str, ...], electrodes: Mapping[str, Place]) -> dict[str, Place]:
    """{channel: place of the cap's electrode that stands for it}, one electrode each, none farther than `BESIDE`."""
    placed = [name for name in channels if place(name) is not None]
    sites = list(electrodes)
    distance = cdist(np.array([place(name) for name in placed]), np.array([place(site) for site in sites]))
    pairs = zip(*linear_sum_assignment(distance), strict=True)
    return {placed[i]: electrodes[sites[j]] for i, j in pairs if distance[i, j] < BESIDE}


def write_cap(cap: str, root: Path, folder: Path) -> tuple[Path, int]:
    """Eegmat as this cap would have recorded it: manifest and number of channels."""
    folder.mkdir(parents=True, exist_ok=True)
    electrodes = electrodes_of(cap, root / "native")
    rows, count = [], 0
    for source in list_eegmat(root / "eegmat-200hz"):
        assert source.path is not None
        recording = read_eeg(source.path)
        kept = beside(recording.sensors, electrodes)
        count = len(kept)
        names = [f"E{i}" for i in range(1, count + 1)]
        signals = recording.signals[[recording.sensors.index(name) for name in kept]] * 1e-6
        raw = mne.io.RawArray(signals, mne.create_info(names, recording.sfreq_hz, "eeg"), verbose="ERROR")
        places = dict(zip(names, kept.values(), strict=True))
        raw.set_montage(mne.channels.make_dig_montage(places, coord_frame="head"))
        path = folder / f"{source.record}_raw.fif"
        raw.save(path, overwrite=True, verbose="ERROR")
        rows.append((path.name, source.subject, source.label[0]))
    manifest = folder / "recordings.csv"
    with manifest.open("w", newline="") as file:
        csv.writer(file).writerows([("path", "subject", "label"), *rows])
    return manifest, count


def scores(folder: Path) -> dict[tuple[str, str], dict[tuple[int, int], dict[str, float]]]:
    """{(model, protocol): {(fold, seed): metrics}} of a finished evaluation."""
    found: dict[tuple[str, str], dict[tuple[int, int], dict[str, float]]] = {}
    for row in json.loads((folder / "results.json").read_text())["rows"]:
        found.setdefault((row["model"], row["protocol"]), {})[row["fold"], row["seed"]] = row["metrics"]
    return found


def print_losses(folders: Mapping[str, Path]) -> None:
    """Means of every cap, and how much is lost against the first, fold by fold."""
    whole = scores(next(iter(folders.values())))
    print(f"\n{'cap':<16}{'model':<14}{'protocol':<10}{'BA':>7}{'AUROC':>8}   loss of BA, AUROC (folds that lose)")
    for cap, folder in folders.items():
        for (model, protocol), cells in scores(folder).items():
            mean = [np.mean([metrics[name] for metrics in cells.values()]) for name in METRICS]
            lost = []
            for name in METRICS:
                less = np.array([whole[model, protocol][key][name] - cells[key][name] for key in cells])
                error = less.std(ddof=1) / np.sqrt(len(less)) if len(less) > 1 else np.nan
                lost.append(f"{less.mean():+.3f} +- {error:.3f} ({(less > 0).sum()}/{len(less)})")
            print(f"{cap:<16}{model:<14}{protocol:<10}{mean[0]:>7.3f}{mean[1]:>8.3f}   {', '.join(lost)}", flush=True)


def command(*arguments: object) -> None:
    """One omnipatch command; stops where it fails."""
    if code := execute([str(argument) for argument in arguments]):
        raise SystemExit(code)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--recipe", default="eeg-jepa")
    parser.add_argument("--out", type=Path, default=Path("runs/eeg-montage"))
    given, overrides = parser.parse_known_args()
    pairs = list(zip(overrides[::2], overrides[1::2], strict=True))
    own = tuple(f"--{section}" for section in NAMED_SECTIONS)  # what weights bring along
    again = [word for pair in pairs if not pair[0].startswith(own) for word in pair]
    root, out = Path(os.environ["OMNIPATCH_DATA"]) / "eeg", given.out
    if not (out / "pretrained/split.json").is_file():
        where = ("--data.name", "eegmat", "--out", out / "pretrained", "--overwrite")
        command("pretrain", given.recipe, *where, *SPLIT, *overrides)
    eegmat: list[object] = ["--data.name", "eegmat"]
    montages = {"19 channels": eegmat, f"{len(FEW)} channels": [*eegmat, "--modality.channels", f"[{','.join(FEW)}]"]}
    for cap in CAPS:
        manifest, count = write_cap(cap, root, out / cap)
        montages[f"{cap} {count}"] = ["--data.manifest", manifest]
    folders, split = {}, json.loads((out / "pretrained/split.json").read_text())
    for cap, data in montages.items():
        folders[cap] = out / cap.replace(" ", "-").lower()
        common = ("--from", out / "pretrained", "--out", folders[cap], "--overwrite")
        command("evaluate", given.recipe, *common, *data, *SPLIT, *EVALUATE, *again)
        test = [set(fold["test"]) for fold in json.loads((folders[cap] / "split.json").read_text())["folds"]]
        assert test == [set(fold["test"]) for fold in split["folds"]], "another cap, other folds"
        print_losses(folders)


if __name__ == "__main__":
    main()
