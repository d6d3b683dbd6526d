"""`omnipatch doctor`: is this installation complete, what is this machine good for, what is in the way.

Exit code 0 when a run would work, 1 when something needed is missing or broken.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from .console import Voice
from .registry import list_modalities

# releases that carried credential-stealing code
_MALICIOUS = {"lightning": ("2.6.2", "2.6.3")}
# those whose version decides what works
_SHOWN = ("omnipatch", "torch", "lightning", "torchmetrics", "scikit-learn", "safetensors", "jsonargparse")
_GOOD, _NOTE, _BAD = "ok", "note", "PROBLEM"

Finding = tuple[str, str, str]  # state, subject, words


def doctor(given: argparse.Namespace, overrides: list[str]) -> int:
    """Print every finding; 1 when one is a problem."""
    findings: list[Finding] = []
    for check in (_packages, _machine, _modalities, _torchaudio, _folders):
        findings += check()
    Voice(given.quiet).table(("state", "what", "finding"), findings)
    return 1 if any(state == _BAD for state, _, _ in findings) else 0


def _packages() -> list[Finding]:
    """The heavy packages with their versions, and any other dependency that is missing."""
    findings = []
    for name in ("omnipatch", *_required()):
        try:
            found = version(name)
        except PackageNotFoundError:
            findings.append((_BAD, name, f"not installed; pip install {name}"))
            continue
        bad = found in _MALICIOUS.get(name, ())
        words = f"{found} is a malicious release; change all credentials of this machine and upgrade" if bad else found
        if bad or name in _SHOWN:
            findings.append((_BAD if bad else _GOOD, name, words))
    return findings


def _required() -> list[str]:
    """Names of what omnipatch needs without extras."""
    names = (re.match(r"[\w.-]+", line) for line in requires("omnipatch") or () if "extra ==" not in line)
    return [name[0] for name in names if name]


def _machine() -> list[Finding]:
    import torch

    from .train.precision import resolve_precision

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else f"{cores} CPU cores"
    precision = resolve_precision("auto", "auto")
    fast = "fast half precision (bf16)" if precision.startswith("bf16") else "no fast bf16, full precision is used"
    findings = [(_GOOD, "compute", f"{device}; {fast}")]
    threads = torch.get_num_threads()
    if threads < cores and not torch.cuda.is_available():
        findings.append((_NOTE, "threads", f"torch uses {threads} of {cores} cores; see OMP_NUM_THREADS"))
    return findings


def _modalities() -> list[Finding]:
    entries = list_modalities(probe=True)
    if not entries:
        return [(_BAD, "modalities", "none is registered; install the package with pip, not by copying files")]
    return [
        (_BAD if e.problem else _GOOD, f"modality {e.name}", e.problem or f"{e.distribution} {e.version}")
        for e in entries
    ]


def _torchaudio() -> list[Finding]:
    from .compat import ensure_torchaudio

    words = {
        "absent": (_GOOD, "not installed, only needed for speech, whose features are the same without it"),
        "native": (_GOOD, "works"),
        "stub": (
            _NOTE,
            "its native library was built for another torch; its PyTorch parts are used, features are equal",
        ),
    }
    try:
        state, text = words[ensure_torchaudio()]
    except Exception as error:  # any failure of a foreign import is a finding
        state, text = _BAD, f"cannot be imported ({type(error).__name__}: {error}); pip uninstall torchaudio"
    return [(state, "torchaudio", text)]


def _folders() -> list[Finding]:
    from .data.cache import cache_folder

    cache = cache_folder()
    findings = [_writable("window cache", cache), _writable("working folder", Path.cwd())]
    data = os.environ.get("OMNIPATCH_DATA")
    if data is None:
        findings.append((_NOTE, "data", "OMNIPATCH_DATA is not set; named data sets need --data.root"))
    elif not Path(data).is_dir():
        findings.append((_BAD, "data", f"OMNIPATCH_DATA is {data}, which is no folder"))
    else:
        findings.append((_GOOD, "data", data))
    return findings


def _writable(name: str, folder: Path) -> Finding:
    existing = folder
    while not existing.exists():
        existing = existing.parent
    if not os.access(existing, os.W_OK):
        return (_BAD, name, f"{folder} cannot be written")
    return (_GOOD, name, f"{folder}, {shutil.disk_usage(existing).free / 2**30:.0f} GiB free")
