"""Teachers: whose states of a recording are quantised into the codes that a student predicts.

Rooms: `teacher` (what one is), `track` (a loaded one, and what it says of a recording); `mel`, `pretrained` (any audio
model of transformers, loaded by `hub`) and `own_run`, the teachers; `align` (states at the places of tokens); `states`
(of all windows, to learn a quantiser from and to encode).
"""

from . import mel, own_run, pretrained  # registers them
from .teacher import Teacher
from .track import Listener, Track

__all__ = ["Listener", "Teacher", "Track", "mel", "own_run", "pretrained"]
