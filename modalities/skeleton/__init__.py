"""Skeletons of people, in motion: files of poses to tokens of joints or body parts.

Rooms, in the order a clip goes through them
- what a joint is, whatever its file calls it: `vocabulary`, `layout` with `layout_file` and `layout_rows`, `body`
- files: `reading` with `formats` and `clip`; `datasets`
- samples: `preprocess` with `gaps`, `frame_of_reference` and `completion`
- tokens: `streams`, `tokens`, `tracks`; `augment` with `augment_limbs`, `augment_time` and `mirror`
- labels and their comparison: `tasks`, `features`, `quality`; `seeing` and `strips` for pictures; all of it behind
  `modality`
- `gait` with `gait_measures` and `sagittal`: reports of walking, usable alone
- synthetic people: `performer`, `kinematics`, `exercises`, `demo`, `demo_walk`
"""

from .modality import Skeleton, SkeletonConfig

__all__ = ["Skeleton", "SkeletonConfig"]
