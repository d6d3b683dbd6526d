"""Where channels lie on the head, as points of the unit sphere.

- An electrode lies at its site, a bipolar channel midway between its two ends; a difference across the head (ear to
  ear) has no place on the scalp.
- Digitised electrodes are brought to the same sphere: its centre is fitted, angles from the vertex are shrunk (nasion
  to inion over the vertex is about 210 degrees around the centre of a real head, 180 on the idealised one), and
  electrodes whose names are known turn the rest into place (Kabsch 1976). Two caps can then be compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from .channels import parse_channel, unknown_channel
from .sites import Place, site_places

# a measured electrode no farther from a site than this (on the unit sphere, about one and a half centimetres) stands at
# it; sites of the 10-10 system are twice as far apart
AT_A_SITE = 0.15
_SHRINK = 180 / 210
_LEAST_KNOWN = 4  # known electrodes from which a rotation is fitted
_LEAST_FOR_SPHERE = 8
_FLAT = 0.05  # electrodes on one line or circle do not say where the centre is
_SHORTEST = 0.2  # midpoints nearer to the centre than this are inside the head


def place(name: str) -> Place | None:
    """(x, y, z) on the unit sphere of a channel by name, or None where it has no place on the scalp."""
    found = ends(name)
    if found is None:
        return None
    middle = np.mean(found, axis=0)
    length = float(np.linalg.norm(middle))
    return None if length < _SHORTEST else _as_place(middle / length)


def places_of(names: Sequence[str], measured: Mapping[str, Place]) -> np.ndarray:
    """[channel, 3] on the unit sphere, by measured position or by name.

    Raises InputError for a channel that has neither.
    """
    found = [measured.get(name) or place(name) for name in names]
    for name, where in zip(names, found, strict=True):
        if where is None:
            raise unknown_channel(name)
    return np.array(found, dtype=np.float64).reshape(-1, 3)


def site_names(names: Sequence[str], measured: Mapping[str, Place], sites: Sequence[str]) -> tuple[str, ...]:
    """The names, with that of the site for a channel that only its measured position describes and that stands at one
    of these sites which no other channel is. What goes by site then works without names."""
    found = list(names)
    free = [site for site in sites if site not in names and place(site) is not None]
    for site, where in zip(free, places_of(free, {}), strict=True):
        away = {name: float(np.linalg.norm(np.subtract(xyz, where))) for name, xyz in measured.items() if name in found}
        if away and away[nearest_one := min(away, key=away.__getitem__)] < AT_A_SITE:
            found[found.index(nearest_one)] = site
    return tuple(found)


@cache
def ends(name: str) -> tuple[Place, Place] | None:
    """Places of the two poles of a channel; of an electrode twice the same, its reference does not count."""
    channel = parse_channel(name)
    if channel is None:
        return None
    places = site_places()
    return places[channel.anode], places[channel.cathode or channel.anode]


def on_idealised_head(digitised: Mapping[str, Place]) -> dict[str, Place]:
    """Digitised positions {channel: (x right, y front, z up)} in any one unit, as points of the idealised unit sphere.

    Positions that are not finite are left out.
    """
    names = [name for name, xyz in digitised.items() if np.isfinite(xyz).all() and np.any(xyz)]
    if not names:
        return {}
    points = np.array([digitised[name] for name in names], dtype=float)
    points = _shrunk(_unit(points - _centre(points)))
    known = [i for i, name in enumerate(names) if place(name) is not None]
    if len(known) >= _LEAST_KNOWN:
        points = points @ _rotation(points[known], np.array([place(names[i]) for i in known]))
    return {name: _as_place(point) for name, point in zip(names, points, strict=True)}


def _centre(points: np.ndarray) -> np.ndarray:
    """Centre of the sphere nearest to points [electrode, 3] in the least-squares sense; the origin for too few."""
    spread = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    if len(points) < _LEAST_FOR_SPHERE or spread[-1] < _FLAT * spread[0]:
        return np.zeros(3)
    scale = np.abs(points).max()
    p = points / scale
    # |p|^2 = 2 p.c + (r^2 - |c|^2) is linear in c
    solution, *_ = np.linalg.lstsq(np.c_[2 * p, np.ones(len(p))], (p**2).sum(axis=1), rcond=None)
    return solution[:3] * scale


def _as_place(point: np.ndarray) -> Place:
    x, y, z = (float(v) + 0.0 for v in point)  # + 0.0: no minus zero
    return x, y, z


def _unit(points: np.ndarray) -> np.ndarray:
    return points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)


def _shrunk(points: np.ndarray) -> np.ndarray:
    """Unit vectors with their angles from the vertex shrunk to those of the idealised head."""
    angle = np.arccos(np.clip(points[:, 2], -1, 1)) * _SHRINK
    across = np.maximum(np.hypot(points[:, 0], points[:, 1]), 1e-12)
    flat = points[:, :2] / across[:, None] * np.sin(angle)[:, None]
    return np.c_[flat, np.cos(angle)]


def _rotation(points: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """[3, 3] rotation R with points @ R nearest to wanted; both [electrode, 3]."""
    u, _, vt = np.linalg.svd(points.T @ wanted)
    return u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt
