"""The released network of D-BETA (manhph2211/D-BETA), whose ECG encoder is also MELP's, from a checkout.

The files of the checkout run unmodified. Stubbed while they are loaded, where they are absent:
- `omegaconf`: a type is imported from it and never used;
- for the whole network, what transformers 5 moved or dropped of version 4 (`apply_chunking_to_forward`, helpers to
  prune heads, `get_extended_attention_mask`), and the download of Flan-T5 (its sizes, weights at random).
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

WORDS = 64  # of a report; D-BETA pads to the longest of a batch, at most 254


def encoder(checkout: Path) -> nn.Module:
    """The ECG encoder: [record, 12, 5000] -> {"x": [record, 312, 768], ...}."""
    options = _options(checkout)
    with _importable(checkout):
        return importlib.import_module("models.transformer").ECGTransformerModel(options)


def pretraining(checkout: Path, x: Tensor) -> tuple[nn.Module, Callable[[], Any]]:
    """Its ECG encoder, and forward and backward of its whole pretraining on [record, 12, 5000].

    That is: both encoders, fusion, the decoder of hidden ECG tokens and four losses.
    """
    from transformers import T5Config, T5EncoderModel, modeling_utils, pytorch_utils

    flan_t5_base = T5Config(d_model=768, d_ff=2048, num_layers=12, num_heads=12, feed_forward_proj="gated-gelu")
    moved_names = ("apply_chunking_to_forward", "find_pruneable_heads_and_indices", "prune_linear_layer")
    with contextlib.ExitStack() as stack:
        stack.enter_context(_importable(checkout))
        for name in moved_names:
            if not hasattr(modeling_utils, name):
                moved = getattr(pytorch_utils, name, None)
                stack.enter_context(mock.patch.object(modeling_utils, name, moved, create=True))
        text = T5EncoderModel(flan_t5_base)
        stack.enter_context(mock.patch.object(T5EncoderModel, "from_pretrained", return_value=text))
        model = importlib.import_module("models.dbeta").DBETA(_options(checkout))
        loss = importlib.import_module("losses.loss").DBETALoss(types.SimpleNamespace(norm_pix_loss=True))
    if not hasattr(model.language_encoder, "get_extended_attention_mask"):
        model.language_encoder.get_extended_attention_mask = _additive
    words = torch.randint(1, model.vocab_size, (len(x), WORDS))
    inputs = {"ecg": x, "text": words, "ecg_padding_mask": None, "text_attention_mask": torch.ones_like(words)}
    sample = {"net_input": inputs, "mlm_labels": words, "is_aligned": torch.ones(len(x))}
    return model.ecg_encoder, lambda: loss.forward(model, sample)[0].backward()


def _additive(keys: Tensor, _shape: Any) -> Tensor:
    return (1.0 - keys[:, None, None, :].float()) * torch.finfo(torch.float32).min


def _options(checkout: Path) -> types.SimpleNamespace:
    config = checkout / "configs" / "config.json"
    if not (checkout / "models" / "transformer.py").is_file() or not config.is_file():
        raise SystemExit(f"{checkout} is not a checkout of D-BETA: models/transformer.py, configs/config.json expected")
    return types.SimpleNamespace(**json.loads(config.read_text())["model"])


@contextlib.contextmanager
def _importable(checkout: Path) -> Iterator[None]:
    """The checkout's packages can be imported; the stub goes again, since others look whether the real one is there."""
    stub = {} if importlib.util.find_spec("omegaconf") else {"omegaconf": types.SimpleNamespace(DictConfig=dict)}
    sys.modules.update(stub)  # type: ignore[arg-type]
    sys.path.insert(0, str(checkout))
    try:
        yield
    finally:
        sys.path.remove(str(checkout))
        for name in stub:
            del sys.modules[name]
