"""Public EEG data sets, read in their own layout: one file a data set, `layout` for what they share."""

from .bci_iv_2a import BCI_IV_2A, IMAGERY_2A, list_bci_iv_2a
from .bids import BIDS, list_bids
from .eegbci import EEGBCI, EYES, IMAGERY, MOVEMENT, list_eegbci
from .eegmat import COUNTING, EEGMAT, list_eegmat
from .sleep_edf import SLEEP_EDF, STAGES, list_sleep_edf
from .tuh import ABNORMAL, EVENTS, TUAB, TUEV, list_tuab, list_tuev

DATASETS = {d.name: d for d in (EEGMAT, TUAB, TUEV, SLEEP_EDF, EEGBCI, BCI_IV_2A, BIDS)}
# what their labels support beside rest and task
TASKS = {t.name: t for t in (COUNTING, ABNORMAL, EVENTS, STAGES, IMAGERY, MOVEMENT, EYES, IMAGERY_2A)}

__all__ = [
    "DATASETS", "TASKS", "list_bci_iv_2a", "list_bids", "list_eegbci", "list_eegmat", "list_sleep_edf", "list_tuab",
    "list_tuev",
]  # fmt: skip
