"""Lanes of tokens: where each token stands on the first axis, and in which colour it is drawn.

- A patch is as long as one step of the first axis. A token of another kind reaches over the patches of its `group` (a
  beat over its patches), or over all of them when its group has none (rhythm).
- All tokens of one colour are one shape: hundreds of shapes would make a page heavy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from .look import INK, MODELS, SOFT
from .window import ASKED, LEFT_OUT, SEEN

if TYPE_CHECKING:
    from ..sequence import PatchSequence

LANE = 0.27  # inches of one lane
_LEVELS = 8  # strengths of a weight that are told apart
_ACCENT = MODELS["pretrained"]


@dataclass(frozen=True, eq=False)
class Tokens:
    """The valid tokens of one row.

    spans: [token, 2] ends on the first axis. kind, group: [token]. step: length of a patch on that axis.
    """

    spans: np.ndarray
    kind: np.ndarray
    group: np.ndarray
    kinds: tuple[str, ...]
    step: float

    @classmethod
    def of(cls, batch: PatchSequence, row: int) -> Tokens:
        """Raises InputError when no patch (kind 0) says where the others stand."""
        valid, step = batch.valid[row].numpy(), batch.spec.axis_scales[0]
        at, kind, group = (t[row].numpy()[valid] for t in (batch.coords[..., 0], batch.kind, batch.group))
        # float32 places end at 9.9999 where a tick at 10 belongs
        spans = (at.astype(float)[:, None] + np.array([-0.5, 0.5]) * step).round(5)
        patches = kind == 0
        if not patches.any():
            raise InputError("no patch stands on the signal", got=", ".join(batch.spec.kinds))
        for token in np.flatnonzero(~patches):
            own = patches & (group == group[token])
            own = own if own.any() else patches
            spans[token] = spans[own, 0].min(), spans[own, 1].max()
        return cls(spans, kind, group, batch.spec.kinds, step)

    @property
    def ends(self) -> tuple[float, float]:
        """Where the first token begins and the last one ends."""
        return float(self.spans.min()), float(self.spans.max())


@dataclass(frozen=True, eq=False)
class Paint:
    """One colour. tokens: [token] bool, those that have it; alpha: in their lanes; behind: on the signal."""

    tokens: np.ndarray
    colour: str
    alpha: float
    label: str = ""
    behind: float = 0.0


def by_unit(tokens: Tokens, behind: float = 0.0) -> list[Paint]:
    """Two shades for neighbouring units; the tokens of a unit have the same one in every lane."""
    unit = tokens.group if tokens.kind.any() else np.unique(tokens.spans[:, 0], return_inverse=True)[1]
    return [Paint(unit % 2 == 0, SOFT, 0.22), Paint(unit % 2 == 1, SOFT, 0.5, behind=behind)]


def by_state(states: np.ndarray) -> list[Paint]:
    """[token] states of `view_states`."""
    return [
        Paint(states == ASKED, _ACCENT, 0.8, "to predict", behind=0.16),
        Paint(states == SEEN, SOFT, 0.4, "seen"),
        Paint(states == LEFT_OUT, SOFT, 0.08, "left out"),
    ]


def by_weight(weights: np.ndarray, kind: np.ndarray) -> list[Paint]:
    """[token] weights of at least 0, as parts of the largest of their kind."""
    most = {k: weights[kind == k].max() for k in np.unique(kind)}
    strength = weights / np.maximum([most[k] for k in kind], 1e-12)
    level = np.ceil(strength.round(9) * _LEVELS)
    faint = [Paint(level == 0, SOFT, 0.08)]
    return faint + [Paint(level == i, _ACCENT, i / _LEVELS, behind=0.5 * i / _LEVELS) for i in range(1, _LEVELS + 1)]


def draw_lanes(axes: Any, tokens: Tokens, paints: Sequence[Paint]) -> None:
    """One lane a kind, tokens a hair apart."""
    inner = tokens.spans + 0.06 * tokens.step * np.array([1.0, -1.0])
    for lane in range(len(tokens.kinds)):
        for paint in paints:
            boxes(axes, inner[(tokens.kind == lane) & paint.tokens], (lane + 0.36, lane - 0.36), paint, paint.alpha)
    axes.set_yticks(range(len(tokens.kinds)), list(tokens.kinds))
    axes.tick_params(axis="y", labelcolor=INK)
    axes.set_ylim(len(tokens.kinds) - 0.45, -0.55)
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def draw_behind(axes: Any, tokens: Tokens, paints: Sequence[Paint], own: np.ndarray) -> None:
    """Shade the signal where its patches are painted; own: [token] bool, those of this sensor."""
    for paint in paints:
        if paint.behind:
            spans = _joined(tokens.spans[(tokens.kind == 0) & own & paint.tokens])
            boxes(axes, spans, (0, 1), paint, paint.behind, transform=axes.get_xaxis_transform())


def boxes(
    axes: Any, spans: np.ndarray, height: tuple[float, float], paint: Paint, alpha: float, **options: Any
) -> None:
    """Rectangles over [span, 2] as one shape."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    if len(spans):
        low, high = height
        corners = [[(a, low), (b, low), (b, high), (a, high), (a, low)] for a, b in spans]
        shape = Path.make_compound_path(*(Path(points, closed=True) for points in corners))
        axes.add_patch(PathPatch(shape, color=paint.colour, alpha=alpha, linewidth=0, **options))


def _joined(spans: np.ndarray) -> np.ndarray:
    """[span, 2] with touching and overlapping ones made one."""
    if not len(spans):
        return spans
    spans = spans[spans[:, 0].argsort(kind="stable")]
    reach = np.maximum.accumulate(spans[:, 1])
    first = np.flatnonzero(np.append(True, spans[1:, 0] > reach[:-1] + 1e-6))
    return np.stack([spans[first, 0], np.append(reach[first[1:] - 1], reach[-1])], axis=1)
