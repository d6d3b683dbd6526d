"""Teachers: whose states of a recording are quantised into the codes that a student predicts.

Rooms: `teacher` (what one is) and `track` (what it says of a recording); `mel`, `pretrained` (any audio model of
transformers, loaded by `hub`) and `own_run`, the teachers; `align` (states at the places of tokens); `states` (of all
windows, to learn a quantiser from and to encode).
"""

from . import mel, own_run, pretrained  # registers them
from .teacher import Listener, Teacher, Track

__all__ = ["Listener", "Teacher", "Track", "mel", "own_run", "pretrained"]
