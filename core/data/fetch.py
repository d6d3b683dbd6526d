"""`omnipatch data fetch NAME`: download a public data set, verify it, lay it out as its reader expects.

Design decisions
- pooch verifies the sha256 and moves a file into place only when it is right: no half file is ever seen. Files that
  are there and right are not downloaded again.
- A broken transfer goes on where it stopped (HTTP Range); a server that cannot do that sends the file again.
- Sets that need an account or an agreement are never downloaded: the error says what to do instead.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pooch
import requests

from ..errors import InputError, OmnipatchError
from ..modality import Dataset

_RETRIES = 3
_PAUSE_S = 0.5  # before the first retry, then doubled
_TIMEOUT_S = 30.0
_BLOCK_BYTES = 2**18


@dataclass(frozen=True)
class Fetched:
    """Where a data set lies now and which of its files were downloaded by this call."""

    folder: Path
    downloaded: tuple[str, ...]
    present: tuple[str, ...]


def fetch(
    dataset: Dataset,
    root: str | Path | None = None,
    progress: Callable[[int, int, str], None] | None = None,
    retries: int = _RETRIES,
) -> Fetched:
    """Download the missing files of a data set into `root`, default its folder under $OMNIPATCH_DATA.

    progress: called with (files done, files in all, name) before each file.

    Raises InputError when the set may not be downloaded or no folder is known, OmnipatchError when a download fails.
    """
    if not dataset.downloads:
        raise InputError(
            f"data set {dataset.name} cannot be downloaded", fix=dataset.instructions or "get it from its authors"
        )
    folder = _folder(dataset, root)
    downloaded: list[str] = []
    present: list[str] = []
    for done, (name, (url, sha256)) in enumerate(dataset.downloads.items()):
        if progress is not None:
            progress(done, len(dataset.downloads), name)
        target = folder / name
        if not target.resolve().is_relative_to(folder.resolve()):
            raise InputError("a download would leave its folder", source=dataset.name, got=name)
        if target.is_file() and pooch.file_hash(str(target)) == sha256:
            present.append(name)
        else:
            _download(url, sha256, target, retries)
            downloaded.append(name)
    return Fetched(folder, tuple(downloaded), tuple(present))


def _folder(dataset: Dataset, root: str | Path | None) -> Path:
    base = os.environ.get("OMNIPATCH_DATA")
    if root is None and not base:
        raise InputError(
            "no folder to download into", field="data.root", fix="give --data.root DIR or set OMNIPATCH_DATA"
        )
    return Path(root).expanduser() if root is not None else Path(base or "").expanduser() / dataset.folder


def _download(url: str, sha256: str, target: Path, retries: int) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        for attempt in range(retries + 1):
            try:
                resuming: Any = _Resuming(part)  # pooch's protocol asks for an argument it never passes
                pooch.retrieve(url, f"sha256:{sha256}", fname=target.name, path=target.parent, downloader=resuming)
                return
            except (requests.RequestException, ValueError) as error:  # ValueError: pooch found another hash
                if attempt == retries or _is_final(error):
                    raise
                time.sleep(_PAUSE_S * 2**attempt)
    except (requests.RequestException, ValueError) as error:
        raise OmnipatchError(
            f"{url}: download failed after {retries} retries ({_plain(error)}); try again later, or get the file "
            f"by hand as {target}"
        ) from error
    except OSError as error:
        raise InputError("cannot write", source=target.parent, got=error.strerror, fix="check --data.root") from error


class _Resuming:
    """A pooch downloader that keeps what arrived in `part` and asks for the rest when called again."""

    def __init__(self, part: Path) -> None:
        self.part = part

    def __call__(self, url: str, output_file: Any, _: pooch.Pooch) -> None:
        have = self.part.stat().st_size if self.part.exists() else 0
        # the bytes on disk are counted, so a compressed transfer would not fit
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_S) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                self.part.unlink()  # it was whole or wrong; the next attempt starts over
            response.raise_for_status()
            with self.part.open("ab" if response.status_code == requests.codes.partial_content else "wb") as file:
                for block in response.iter_content(_BLOCK_BYTES):
                    file.write(block)
        # complete: from here on its hash decides, so a wrong file is not continued
        shutil.move(self.part, output_file)


def _is_final(error: Exception) -> bool:
    """Client errors but "too many requests" stay the same however often one asks."""
    response = getattr(error, "response", None)
    if response is None:
        return False
    status = response.status_code
    return 400 <= status < 500 and status not in (
        requests.codes.requested_range_not_satisfiable,
        requests.codes.too_many_requests,
    )


def _plain(error: Exception) -> str:
    response = getattr(error, "response", None)
    if response is not None:
        return f"the server answered {response.status_code} {response.reason}"
    return "the file is not the one expected, by its sha256" if isinstance(error, ValueError) else type(error).__name__
