"""The README of a model folder: what the weights are, what they expect and how to use them. No subject is named."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..config import Recipe

if TYPE_CHECKING:
    from ..sequence import SequenceSpec


def pretraining_data(recipe: Recipe) -> str:
    """Names of the data that a recipe pretrains on."""
    return ", ".join([recipe.data.meant, *recipe.data.pretrain_with])


def model_card(
    recipe: Recipe, spec: SequenceSpec, parameters: int, preprocessing: Mapping[str, Any], extra: Mapping[str, object],
    *, tuned: bool = False,
) -> str:  # fmt: skip
    """Markdown text of the card. `extra` adds rows to the table of facts. tuned: with labels, after pretraining."""
    facts = {
        "modality": recipe.modality["name"],
        "objective": recipe.objective["name"],
        "encoder": f"{recipe.encoder['name']}, {parameters / 1e6:.2f} M parameters",
        "pretraining data": pretraining_data(recipe),
        "pretraining steps": recipe.trainer.max_steps,
        "patch": f"{' x '.join(map(str, spec.patch_shape))} values, unit {spec.unit}",
        "coordinates": ", ".join(spec.axes),
        "sampling rate": "none" if spec.sfreq_hz is None else f"{spec.sfreq_hz:g} Hz",
        **extra,
    }
    labels = "without labels on the data named above" + (", then fine-tuned with labels" if tuned else "")
    rows = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    return f"""# {recipe.name}

{recipe.description or "A self-supervised encoder."}

| | |
|---|---|
{rows}

## Use

```python
from omnipatch.core.train.model_io import load_model

model = load_model("path/to/this/folder")  # encoder, modality (with its preprocessing) and recipe
```

or `omnipatch embed --from RUN FILES... --out FILE.npz`.

## Preprocessing

Applied again to everything the model reads:

```json
{json.dumps(preprocessing, indent=2)}
```

## Limits

The encoder was trained {labels}. It is a research model, not a medical device; evaluate
it on your own subjects before you rely on it.
"""
