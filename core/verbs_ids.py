"""`embed --what ids`: one vector an id of what a model ranks, with its name, for search engines and other models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .console import Voice
from .errors import InputError

if TYPE_CHECKING:
    import numpy as np

FORMS = (".npz", ".csv", ".safetensors")


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

    from .run_folder import write_csv
    from .train.atomic import replacing

    if target.suffix == ".csv":
        head = ["id", *(f"v{i}" for i in range(vectors.shape[1]))]
        write_csv(target, head, ([name, *row] for name, row in zip(names, vectors.tolist(), strict=True)))
    elif target.suffix == ".npz":
        with replacing(target) as file:
            np.savez_compressed(file, id=np.array(names), vector=vectors)
    else:
        import json

        from safetensors.numpy import save

        # safetensors holds numbers alone; names go to the header, where every reader of the format finds them
        with replacing(target) as file:
            file.write(save({"vector": np.ascontiguousarray(vectors)}, metadata={"id": json.dumps(names)}))
