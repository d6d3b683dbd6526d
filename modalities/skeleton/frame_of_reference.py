"""Where a clip's people stand, which way they face, how large they are: one frame of reference for everybody in it.

The first person decides for all, so that where the others are, how they face and how much taller they are stays to be
seen. What a clip does not show is not guessed
- origin: the pelvis; without it the middle of the hips, or where a standard person's pelvis lies whose trunk is laid on
  what is seen of the trunk, or the middle of the trunk, or of all that is seen of the person;
- facing: from hips and shoulders, which lie across the body; where a side of both is lost, from that trunk, or from
  knees, elbows, ankles and wrists; of a flat pose nothing is known about it;
- size: lengths of bones over those of a standard person, the middle of all ratios. One lost or badly tracked bone does
  not matter then, nor which joints a camera happens to have. Bones of a flat pose are only ever shortened by the view,
  so there the longest count.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...core.signals import fill_gaps, mean_of_present
from .body import Body, index_of
from .vocabulary import PARTS, VOCABULARY

_STEADY = 5  # frames whose middle is the place at the start: one frame may be a bad one
_LONG_M = 0.15  # shorter bones of the standard person are mostly noise of the camera
_ACROSS = ("hip", "shoulder")
_FAR_ACROSS = ("knee", "elbow", "ankle", "wrist")  # they move, but seldom change sides
_STIFF = tuple(f"{side}_{name}" for name in _ACROSS for side in ("left", "right"))  # hold to the trunk, more or less
_LEAST_FLAT = 0.2  # second extent of the trunk's joints over the first, both squared; less: near a line, free to turn
_LEAST_ACROSS = 0.3  # share of a line across the body that is horizontal; less: lying, or bent to the side
_LEAST_AGREED = 0.2  # of directions over a clip: less is somebody who turns all the way round
_STRETCHED = 0.95  # share of the frames in which a foreshortened length is shorter than the one that is taken

# what a body of size one is: from the middle of the hips to that of the shoulders
TORSO_M = float(
    np.linalg.norm(np.subtract(VOCABULARY["left_shoulder"].place, VOCABULARY["left_hip"].place)[1:])
)  # the sides are as far apart in both


def first_person(body: Body) -> int:
    """Number of the person who decides: the first who has joints here."""
    return int(body.person.min(initial=0)) if len(body.person) else 0


def root_path(x: np.ndarray, body: Body) -> np.ndarray:
    """[3, frame] where the first person's root goes in [sensor, 3, frame], gaps bridged; zero along a lost axis."""
    own = body.person == first_person(body)
    wanted = np.isfinite(x[own, 0]).any(axis=0).sum() / 2  # of the frames in which anything of the person is seen
    path = np.full(x.shape[1:], np.nan)
    for path in _root_paths(x, body):
        if np.isfinite(path[0]).sum() >= max(wanted, 1):
            break
    return fill_gaps(path)[0]


def _root_paths(x: np.ndarray, body: Body) -> Iterator[np.ndarray]:
    """[3, frame] each: where the root may be, the surest first. Most clips need no second one."""
    person = first_person(body)
    own, trunk = body.person == person, body.part == PARTS.index("trunk")
    hips = [index_of(body, f"{side}_hip", person) for side in ("left", "right")]
    pelvis = index_of(body, "pelvis", person)
    if pelvis >= 0:
        yield x[pelvis]
    if min(hips) >= 0:
        yield _middle(x[hips])
    yield _standard_trunk(x, body)[0]
    for joints in (own & trunk, own, np.full(len(x), True)):
        yield _middle(x[joints])


def _standard_trunk(x: np.ndarray, body: Body) -> tuple[np.ndarray, np.ndarray]:
    """[3, frame] where the pelvis of a standard person lies, and [3, frame] the direction to their left, when they are
    moved, turned and scaled onto the trunk of the first person (Umeyama 1991, doi:10.1109/34.88573).

    NaN where fewer than three of its joints are seen, or all near one line. One scale a clip, as nobody grows in it.
    """
    stiff = (body.part == PARTS.index("trunk")) | np.isin(body.joint, _STIFF)
    stiff &= body.person == first_person(body)
    x, place = x[stiff], body.place[stiff]
    seen = np.asarray(np.isfinite(x).all(axis=1))
    weight = seen / np.maximum(seen.sum(axis=0), 1)
    middle = np.einsum("jf,jaf->af", weight, np.where(seen[:, None], x, 0.0))
    own_middle = place.T @ weight
    there = np.where(seen[:, None], x - middle, 0.0)
    own = place[:, :, None] - own_middle
    left, spread, right = np.linalg.svd(np.einsum("jf,jaf,jbf->fab", weight, there, own))
    hand = np.sign(np.linalg.det(left @ right))  # no mirror images
    left[:, :, 2] *= hand[:, None]
    good = np.asarray((seen.sum(axis=0) >= 3) & (spread[:, 1] > _LEAST_FLAT * spread[:, 0]))
    if not good.any():
        return np.full(x.shape[1:], np.nan), np.full(x.shape[1:], np.nan)
    size = np.einsum("jf,jaf,jaf->f", weight, own, own)
    scale = np.median(((spread[:, 0] + spread[:, 1] + hand * spread[:, 2])[good]) / size[good])
    turn = left @ right
    path = middle - scale * np.einsum("fab,bf->af", turn, own_middle)
    return np.where(good, path, np.nan), np.where(good, turn[:, :, 0].T, np.nan)


def _middle(joints: np.ndarray) -> np.ndarray:
    """[joint, 3, frame] -> [3, frame], known where all are: the middle of what is left would jump when one is lost."""
    if len(joints) <= 2:
        return joints.mean(axis=0) if len(joints) else np.full(joints.shape[1:], np.nan)
    return mean_of_present(joints)


def start_of(path: np.ndarray, x: np.ndarray) -> np.ndarray:
    """[3, 1] where a path [3, frame] begins: from the first frame in which anything of [sensor, 3, frame] is seen."""
    seen = np.flatnonzero(np.isfinite(x[:, 0]).any(axis=0))
    first = int(seen[0]) if len(seen) else 0
    return np.median(path[:, first : first + _STEADY], axis=1, keepdims=True)


def facing(x: np.ndarray, body: Body) -> float:
    """Angle (radians) about the vertical that turns the first person to face +z; 0 where it cannot be told.

    One angle a clip: the mean direction of the lines from right to left hips and shoulders.
    """
    for lines in _lines_across(x, body):
        every = _level(lines)
        if every.shape[1]:
            x_mean, z_mean = every.mean(axis=1)
            return float(np.arctan2(z_mean, x_mean)) if np.hypot(x_mean, z_mean) > _LEAST_AGREED else 0.0
    return 0.0


def _lines_across(x: np.ndarray, body: Body) -> Iterator[list[np.ndarray]]:
    """Lines [3, frame] from right to left, the surest first. Most clips need no second group."""
    yield [_across(x, body, name) for name in _ACROSS]
    yield [_standard_trunk(x, body)[1]]
    yield [_across(x, body, name) for name in _FAR_ACROSS]


def _across(x: np.ndarray, body: Body, name: str) -> np.ndarray:
    """[3, frame] from the first person's right to the left joint of a name, NaN where one is not seen."""
    left, right = (index_of(body, f"{side}_{name}", first_person(body)) for side in ("left", "right"))
    return x[left] - x[right] if min(left, right) >= 0 else np.full(x.shape[1:], np.nan)


def _level(lines: list[np.ndarray]) -> np.ndarray:
    """[2, line] unit x and z of those of the lines [3, frame] that are level enough to tell a direction."""
    every = np.concatenate(lines, axis=1)
    level, length = np.hypot(every[0], every[2]), np.sqrt(np.square(every).sum(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return (every[[0, 2]] / level)[:, level > _LEAST_ACROSS * length]


def turned(x: np.ndarray, angle: float) -> np.ndarray:
    """[sensor, 3, frame] turned about the vertical; a flat pose, whose depth is lost, stays as it is."""
    if angle == 0.0:
        return x
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([c * x[:, 0] + s * x[:, 2], x[:, 1], c * x[:, 2] - s * x[:, 0]], axis=1).astype(np.float32)


def body_size(x: np.ndarray, body: Body, unit: str) -> float:
    """Length of the first person's torso in the unit of [sensor, 3, frame], above zero."""
    flat = not np.isfinite(x[:, 2]).any()
    child = np.flatnonzero((body.parent >= 0) & (body.person == first_person(body)))
    standard = np.linalg.norm(body.place[child] - body.place[body.parent[child]], axis=1)
    long = standard > _LONG_M
    child, standard = (child[long], standard[long]) if long.any() else (child[standard > 0], standard[standard > 0])
    bones = x[child] - x[body.parent[child]]
    lengths = np.sqrt(np.square(np.nan_to_num(bones, nan=0.0)).sum(axis=1))
    known = np.isfinite(bones[:, 0])
    seen = known.sum(axis=1)
    rank = np.round((_STRETCHED if flat else 0.5) * np.maximum(seen - 1, 0)).astype(int)
    ordered = np.sort(np.where(known, lengths, np.inf), axis=1)
    found = (np.take_along_axis(ordered, rank[:, None], axis=1)[:, 0] / standard)[seen > 0]
    size = TORSO_M * float(np.median(found)) if len(found) else 0.0
    return size if size > 1e-9 else _guessed(x, unit)


def _guessed(x: np.ndarray, unit: str) -> float:
    """Where no bone is seen: that of the standard person in metres, else what all joints span."""
    if unit == "m" or not np.isfinite(x).any():
        return TORSO_M
    span = max(float(np.nanmax(x[:, axis]) - np.nanmin(x[:, axis])) for axis in (0, 1))
    return span if span > 1e-9 else 1.0
