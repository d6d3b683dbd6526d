"""Public skeleton data sets, read in their own layout: one file a data set, `archives` and `ntu_names` for what they
share, `clips` for opening one clip of a file that holds many."""

from .msr_action3d import ACTION, MSR_ACTION3D, list_msr_action3d
from .ntu import NTU, NTU_ACTION, NTU_XSET, NTU_XVIEW, list_ntu
from .pyskl import PYSKL_CLASS, PYSKL_SET, PYSKL_XSET, PYSKL_XVIEW, list_pyskl
from .ui_prmd import UI_PRMD, list_ui_prmd

DATASETS = {
    d.name: d for d in (UI_PRMD, MSR_ACTION3D, NTU, NTU_XVIEW, NTU_XSET, PYSKL_SET, PYSKL_XVIEW, PYSKL_XSET)
}  # fmt: skip
# what their labels support beyond the tasks of the adapter itself
TASKS = {t.name: t for t in (ACTION, NTU_ACTION, PYSKL_CLASS)}

__all__ = ["DATASETS", "TASKS", "list_msr_action3d", "list_ntu", "list_pyskl", "list_ui_prmd"]
