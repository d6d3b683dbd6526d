"""Small folders and archives in the form of public skeleton data sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from omnipatch.modalities.skeleton.layout import find_layout
from skeleton_files_kit import annotation, walker, write_ntu, write_pyskl


def ui_prmd_arrays(subjects: int = 4, episodes: int = 1, exercises: int = 2) -> dict[str, np.ndarray]:
    """Arrays of an archive of UI-PRMD: every subject does every exercise well and not, in clips of 8 to 15 frames."""
    rows = [
        (exercise, correct, subject, episode)
        for exercise in range(1, exercises + 1)
        for correct in (1, 0)
        for subject in range(1, subjects + 1)
        for episode in range(1, episodes + 1)
    ]
    length = np.array([8 + i % 8 for i in range(len(rows))], np.int16)
    x = np.concatenate([walker("ui-prmd-22", int(n), seed=i)[0] for i, n in enumerate(length)])
    about = np.array(rows, np.int8).T
    return {
        "positions": np.round(x * 100 / 0.02).astype(np.int16), "position_scale_cm": np.array(0.02, np.float32),
        "joint_names": np.array(find_layout("ui-prmd-22").joints), "fps": np.array(30.0, np.float32),
        "start": np.cumsum(length, dtype=np.int32) - length.astype(np.int32), "length": length,
        "exercise": about[0], "correct": about[1], "subject": about[2], "episode": about[3],
    }  # fmt: skip


def msr_arrays(subjects: int = 4, actions: int = 2) -> dict[str, np.ndarray]:
    """Arrays of an archive of MSR-Action3D; joints of the second clip are lost in its first frame, in the last clip in
    all."""
    rows = [(action, subject, 1) for action in range(1, actions + 1) for subject in range(1, subjects + 1)]
    length = np.array([10 + i % 5 for i in range(len(rows))], np.int16)
    start = np.cumsum(length, dtype=np.int32) - length.astype(np.int32)
    x = np.concatenate([walker("msr-20", int(n), seed=i)[0] for i, n in enumerate(length)])
    confidence = np.full(x.shape[:2], 255, np.uint8)
    confidence[:, 3] = 0  # inferred throughout
    for lost in (start[1], slice(start[-1], None)):
        x[lost], confidence[lost] = 0.0, 0
    about = np.array(rows, np.int8).T
    return {
        "positions_m": np.round(x * 5000).astype(np.int16), "confidence": confidence, "start": start, "length": length,
        "action": about[0], "subject": about[1], "episode": about[2],
    }  # fmt: skip


def save(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def ntu_folder(root: Path, names: tuple[str, ...]) -> Path:
    """Files of the same clip under several names."""
    root.mkdir(exist_ok=True)
    for name in names:
        write_ntu(root / f"{name}.skeleton", walker("ntu-25", 10))
    return root


def pyskl_file(path: Path, names: tuple[str, ...], splits: dict | None) -> Path:
    write_pyskl(path, [annotation(walker("ntu-25", 10, seed=i), n, i % 3) for i, n in enumerate(names)], splits)
    return path
