"""`embed --what ids`: one vector an id of what a model ranks, with its name, for search engines and other models."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

from .console import Voice
from .errors import InputError

if TYPE_CHECKING:
    import numpy as np

FORMS = (".npz", ".csv", ".safetensors")


def check_form(target: Path) -> None:
    """Raises InputError for a form that vectors of ids are not written in."""
    if target.suffix not in FORMS:
        raise InputError(
            "vectors of ids are not written in this form", field="--out", got=target.name, expected=" | ".join(FORMS)
        )


def embed_ids(source: str, target: Path, voice: Voice) -> None:
    """Write names and vectors of all ids of a model. A score of the model is the inner product of such a vector with
    the one that `embed` gives for a history."""
    from .train.model_io import load_model

    model = load_model(source)
    if not model.encoder.spec.vocabulary:
        raise InputError("this model knows no ids", source=source, fix="give files, for vectors of windows")
    vectors = model.encoder.id_table().detach().float().numpy()
    names = list(model.modality.id_names())
    _write(target, names, vectors)
    voice.result(f"{target}: {len(names)} ids, vectors of {vectors.shape[1]} numbers")


def _write(target: Path, names: list[str], vectors: np.ndarray) -> None:
    import numpy as np

    from .run_folder import write_text
    from .train.atomic import replacing

    if target.suffix == ".csv":
        content = io.StringIO()
        table = csv.writer(content, lineterminator="\n")
        table.writerow(["id", *(f"v{i}" for i in range(vectors.shape[1]))])
        table.writerows([name, *map(repr, row)] for name, row in zip(names, vectors.tolist(), strict=True))
        write_text(target, content.getvalue())
    elif target.suffix == ".npz":
        with replacing(target) as file:
            np.savez_compressed(file, id=np.array(names), vector=vectors)
    else:
        import json

        from safetensors.numpy import save

        # safetensors holds numbers alone; names go to the header, where every reader of the format finds them
        with replacing(target) as file:
            file.write(save({"vector": np.ascontiguousarray(vectors)}, metadata={"id": json.dumps(names)}))
