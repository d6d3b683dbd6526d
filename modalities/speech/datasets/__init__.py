"""Public speech and audio data sets, read in their own layout: one file a data set, `layout` for what they share."""

from .als import ALS, ALS_DIAGNOSIS, VOWEL, list_als
from .esc50 import ESC50, SOUND, list_esc50
from .fsdd import DIGIT, FSDD, FSDD_OFFICIAL, list_fsdd, list_fsdd_official
from .librispeech import LIBRISPEECH, SEX, list_librispeech
from .speech_commands import COMMAND, SPEECH_COMMANDS, list_speech_commands

DATASETS = {d.name: d for d in (FSDD, FSDD_OFFICIAL, ALS, SPEECH_COMMANDS, ESC50, LIBRISPEECH)}
# what their labels support
TASKS = {t.name: t for t in (DIGIT, ALS_DIAGNOSIS, VOWEL, COMMAND, SOUND, SEX)}

__all__ = [
    "DATASETS", "TASKS", "list_als", "list_esc50", "list_fsdd", "list_fsdd_official", "list_librispeech",
    "list_speech_commands",
]  # fmt: skip
