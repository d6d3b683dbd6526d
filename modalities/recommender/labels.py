"""What people are like, as tasks beside the ranking: who is older, who likes comedies, told from what they took.

Labels come from a table `user,label` (`--modality.labels FILE`, task "people") or, for the demo market, from its maker.
The field's own features of a history are the mean spectral position of its items (latent semantics, as with words of
a text) and its length. Items are placed by the histories of everybody, of those who are tested too; labels of those are
used nowhere.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from ...core.errors import CorruptFileError, InputError
from ...core.modality import Task
from .catalogue import Catalogue
from .demo import AGE_GROUPS, TASTES, DemoMarket

PEOPLE = "people"
LABELS = "labels"  # key of `Recording.extras`: {task: {user: class}}
_DEMO_TASTES = TASTES[:4]  # of `make_market`'s default


def people_tasks(path: str) -> dict[str, Task]:
    """Tasks about people: those of the demo market, and that of a label file where one is given."""
    tasks = {"taste": _DEMO_TASTES, "age_group": AGE_GROUPS}
    if path:
        tasks[PEOPLE] = tuple(sorted(set(read_labels(Path(path)).values())))
    return {name: Task(name, "subject", tuple(classes)) for name, classes in tasks.items()}


def demo_labels(market: DemoMarket) -> dict[str, dict[str, str]]:
    """{task: {user: class}}; taste is the largest share of a mixture."""
    users = market.interactions.users.tolist()
    taste = np.array(TASTES)[market.taste.argmax(axis=1)]
    return {
        name: dict(zip(users, classes.tolist(), strict=True))
        for name, classes in (("taste", taste), ("age_group", market.age_group))
    }


def read_labels(path: Path) -> Mapping[str, str]:
    """{user: class} of a CSV `user,label`; a user without a class is left out.

    Raises InputError: no such file or column, one user with two classes, fewer than two classes.
    """
    try:
        return _read(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise InputError("cannot be read", source=path, field="modality.labels", got=error.strerror) from None


@lru_cache(maxsize=4)
def _read(path: Path, when: int) -> Mapping[str, str]:
    found: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file)
            columns = [name.strip() for name in table.fieldnames or ()]
            if not {"user", "label"} <= set(columns):
                raise InputError("labels are a table", source=path, got=",".join(columns), expected="user,label")
            table.fieldnames = columns
            for row in table:
                user, label = (row["user"] or "").strip(), (row["label"] or "").strip()
                if label and found.setdefault(user, label) != label:
                    raise InputError(
                        "a user has two labels", source=f"{path}:{table.line_num}", field="label",
                        got=f"{user}: {found[user]}, {label}", expected="one", fix="correct the row",
                    )  # fmt: skip
    except (UnicodeDecodeError, csv.Error) as error:
        raise CorruptFileError("cannot be read as CSV", source=path, got=error) from error
    classes = sorted(set(found.values()))
    if len(classes) < 2:
        raise InputError("labels need two classes", source=path, field="label", got=", ".join(classes) or "none")
    return found


def history_features(catalogue: Catalogue, items: np.ndarray) -> np.ndarray:
    """[positions + 2] float32 of a history of catalogue codes: mean of what is known of its items, logarithm of its
    length."""
    return np.append(catalogue.known[items].mean(axis=0), np.log1p(len(items))).astype(np.float32)
