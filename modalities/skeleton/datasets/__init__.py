"""Public skeleton data sets, read in their own layout: one file a data set, `archives` for what they share, `clips` for
opening one clip of a file that holds many."""

from .msr_action3d import ACTION, MSR_ACTION3D, list_msr_action3d
from .ui_prmd import UI_PRMD, list_ui_prmd

DATASETS = {d.name: d for d in (UI_PRMD, MSR_ACTION3D)}
# what their labels support beyond the tasks of the adapter itself
TASKS = {t.name: t for t in (ACTION,)}

__all__ = ["DATASETS", "TASKS", "list_msr_action3d", "list_ui_prmd"]
