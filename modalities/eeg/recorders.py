"""Files whose names count electrodes in an order that only their description tells.

They are known by their whole list of names, or by the cap that the user names, so that nothing is guessed about anybody
else's "EEG-3".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# BCI competition IV, data set 2a (Brunner et al. 2008): the names of MNE for its 22 electrodes, and figure 3 (left)
_BCI_IV_2A = (
    "EEG-Fz", "EEG-0", "EEG-1", "EEG-2", "EEG-3", "EEG-4", "EEG-5", "EEG-C3", "EEG-6", "EEG-Cz", "EEG-7", "EEG-C4",
    "EEG-8", "EEG-9", "EEG-10", "EEG-11", "EEG-12", "EEG-13", "EEG-14", "EEG-Pz", "EEG-15", "EEG-16",
)  # fmt: skip
_BCI_IV_2A_SITES = (
    "Fz", "FC3", "FC1", "FCz", "FC2", "FC4", "C5", "C3", "C1", "Cz", "C2", "C4",
    "C6", "CP3", "CP1", "CPz", "CP2", "CP4", "P1", "Pz", "P2", "POz",
)  # fmt: skip

# these of BioSemi's caps are listed by site, in the order of their inputs; larger ones by the inputs themselves
_BIOSEMI_BY_SITE = ("biosemi16", "biosemi32", "biosemi64")


def recorder_aliases(names: Sequence[str]) -> Mapping[str, str]:
    """{name in the file: site} for a list of names that is known as a whole, else nothing."""
    if tuple(names[: len(_BCI_IV_2A)]) == _BCI_IV_2A:
        return dict(zip(_BCI_IV_2A, _BCI_IV_2A_SITES, strict=True))
    return {}


def biosemi_inputs(montage: str, sites: Sequence[str]) -> Mapping[str, str]:
    """{input: site} of a cap whose inputs are called A1 to A32, then B1 to B32; nothing for other caps. sites: its own,
    in MNE's order."""
    if montage not in _BIOSEMI_BY_SITE:
        return {}
    return {f"{'AB'[i // 32]}{i % 32 + 1}": name for i, name in enumerate(sites)}
