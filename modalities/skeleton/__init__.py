"""Skeletons of people, in motion: files of poses to tokens of joints or body parts.

Rooms: `modality` (the adapter); `vocabulary`, `layout` and `body`, what a joint is whatever its file calls it;
`reading` with `formats`, `clip` and `datasets`; `preprocess` with `gaps` and `frame_of_reference`; `streams` and
`tokens`; `augment` with what it moves; `features`, `quality`, `tasks`; `performer`, `exercises`, `demo`; `seeing`.
"""

from .modality import Skeleton, SkeletonConfig

__all__ = ["Skeleton", "SkeletonConfig"]
