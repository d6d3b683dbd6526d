"""The text side of an objective: what was written about each record, and a language model that reads it.

Design decisions
- Any encoder of transformers by local path or hub id, weights from safetensors only and never remote code; without one
  a small BERT (Devlin et al. 2018, https://arxiv.org/abs/1810.04805) starts from scratch on the texts at hand.
- Texts go by record: a batch finds its own by `PatchSequence.record`, so nothing is copied a window and modalities
  without texts never notice.
- The model stays in evaluation mode, also while it is trained: a step is then a pure function of the batch.
- Reports repeat ("Sinus rhythm."). Equal texts of a batch are encoded once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..compat import ensure_torchaudio
from ..errors import CorruptFileError, InputError, first_line
from .registry import register
from .text_tokens import TextTokens, learn_tokenizer, tokenize

_OPTIONS = "text.json"


@register("text", "transformers")
class TextEncoder(nn.Module):
    """Language model, its tokenizer and a table of texts by record code.

    texts: [record code] texts to learn from, "" = none; or a folder that `save` wrote, then the table is empty.
    model: local folder or hub id; None = a small one from scratch with `width`, `depth`, `heads` and a vocabulary of at
        most `vocabulary` entries learned from the texts.
    trained_layers: of a given model, how many of its last layers are trained; None = all, 0 = frozen.
    max_tokens: longer texts are cut. local_files_only: never ask the hub.

    Raises InputError when there are no texts, transformers is missing or the model cannot be had.
    """

    ids: Tensor
    sentence: Tensor
    present: Tensor
    code: Tensor

    def __init__(
        self,
        texts: Sequence[str] | Path,
        *,
        model: str | None = None,
        width: int = 128,
        depth: int = 2,
        heads: int = 4,
        vocabulary: int = 2000,
        max_tokens: int = 96,
        trained_layers: int | None = None,
        local_files_only: bool = False,
    ) -> None:
        super().__init__()
        _require_transformers()
        saved = texts if isinstance(texts, Path) else None
        written = () if isinstance(texts, Path) else tuple(texts)
        if saved is None and not any(written):
            raise InputError(
                "the objective reads texts, but no recording has one", field="objective.text",
                fix="add a column text to the manifest, or use another objective",
            )  # fmt: skip
        if saved is not None:
            self.tokenizer, self.model, max_tokens = _load_saved(saved)
        elif model is not None:
            self.tokenizer, self.model = _load_pretrained(model, local_files_only)
        else:
            self.tokenizer = learn_tokenizer([text for text in written if text], vocabulary)
            self.model = _small_model(len(self.tokenizer), self.tokenizer.pad_token_id, width, depth, heads, max_tokens)
        _train_only(self.model, None if model is None else trained_layers)
        limit = getattr(self.model.config, "max_position_embeddings", None) or max_tokens
        self.max_tokens, self.width = min(max_tokens, limit), int(self.model.config.hidden_size)
        table = self.tokenize(written)
        for name, field in (
            ("ids", table.ids),
            ("sentence", table.sentence),
            ("present", table.valid),
            ("code", table.code),
        ):
            self.register_buffer(name, field, persistent=False)
        self.model.eval()

    @property
    def vocabulary(self) -> int:
        """Number of token ids."""
        return len(self.tokenizer)

    @property
    def pairs(self) -> int:
        """Records with a text."""
        return int((self.code >= 0).sum())

    def train(self, mode: bool = True) -> TextEncoder:
        super().train(mode)
        self.model.eval()
        return self

    def tokenize(self, texts: Sequence[str]) -> TextTokens:
        """Tokens of any texts, on the CPU."""
        return tokenize(self.tokenizer, texts, self.max_tokens)

    def of(self, record: Tensor) -> TextTokens:
        """Tokens of the texts of record codes [row]; an unknown record has none."""
        known = (record >= 0) & (record < len(self.code))
        table = TextTokens(self.ids, self.sentence, self.present, self.code)
        tokens = table.rows(torch.where(known, record, 0))
        return TextTokens(
            tokens.ids, tokens.sentence, tokens.valid & known.unsqueeze(1), tokens.code.masked_fill(~known, -1)
        )

    def forward(self, tokens: TextTokens) -> Tensor:
        """[row, token, width] states of tokens; rows without a text have no meaning."""
        _, first, again = _distinct(tokens.code)
        unique = TextTokens(tokens.ids[first], tokens.sentence[first], tokens.valid[first], tokens.code[first])
        seen = unique.valid.clone()
        seen[:, 0] = True  # a row without a text must not attend to nothing
        states = self.model(input_ids=unique.ids, attention_mask=seen.long()).last_hidden_state
        return states[again]

    def save(self, folder: Path) -> None:
        """Write tokenizer and model configuration (not the weights: they travel with what was trained around them)."""
        folder.mkdir(parents=True, exist_ok=True)
        self.tokenizer.save_pretrained(folder)
        self.model.config.save_pretrained(folder)
        (folder / _OPTIONS).write_text(json.dumps({"max_tokens": self.max_tokens}) + "\n")


def _distinct(code: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Distinct values, the row where each first stands, and where each row finds its value."""
    values, again = code.unique(return_inverse=True)
    place = torch.arange(len(code), device=code.device)
    first = torch.full_like(values, len(code)).scatter_reduce(0, again, place, "amin")
    return values, first, again


def _require_transformers() -> None:
    try:
        ensure_torchaudio()
        import tokenizers  # noqa: F401
        import transformers
    except ImportError as error:
        fix = "pip install 'omnipatch[text]'"
        raise InputError("reading texts needs transformers", field="objective.text", fix=fix) from error
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def _small_model(vocabulary: int, padding: int, width: int, depth: int, heads: int, longest: int) -> Any:
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=vocabulary, hidden_size=width, num_hidden_layers=depth, num_attention_heads=heads,
        intermediate_size=4 * width, max_position_embeddings=longest, pad_token_id=padding,
    )  # fmt: skip
    return BertModel(config, add_pooling_layer=False)


def _load_pretrained(name: str, local_files_only: bool) -> tuple[Any, Any]:
    from transformers import AutoModel, AutoTokenizer

    options: dict[str, Any] = {"trust_remote_code": False, "local_files_only": local_files_only}
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, **options)
        model = AutoModel.from_pretrained(name, use_safetensors=True, **options)
    except Exception as error:  # the hub, its cache and foreign files fail with many kinds of exception
        raise InputError(
            "the text model cannot be loaded", field="objective.text.model", got=f"{name} ({first_line(error)})",
            expected="a folder or hub id with a tokenizer and safetensors weights",
            fix="check the name, or download the model and give its folder",
        ) from error  # fmt: skip
    if not getattr(tokenizer, "is_fast", False):
        raise InputError(
            "the tokenizer of the text model does not know where its tokens stand in the text",
            field="objective.text.model", got=type(tokenizer).__name__, fix="choose a model with a fast tokenizer",
        )  # fmt: skip
    return tokenizer, _encoder_of(model)


def _load_saved(folder: Path) -> tuple[Any, Any, int]:
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    try:
        options = json.loads((folder / _OPTIONS).read_text())
        tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False, local_files_only=True)
        config = AutoConfig.from_pretrained(str(folder), trust_remote_code=False, local_files_only=True)
        model = AutoModel.from_config(config, trust_remote_code=False)
        return tokenizer, _encoder_of(model), int(options["max_tokens"])
    except Exception as error:
        raise CorruptFileError("the text model cannot be read", source=folder, got=first_line(error)) from error


def _encoder_of(model: Any) -> Any:
    """The part that reads text. A pooler is not used: weights without gradient would stall distributed training."""
    model = model.get_encoder() if getattr(model.config, "is_encoder_decoder", False) else model
    if getattr(model, "pooler", None) is not None:
        model.pooler = None
    return model


def _train_only(model: nn.Module, layers: int | None) -> None:
    """Freeze all but the last so many layers; None trains everything."""
    if layers is None:
        return
    stack = max((m for m in model.modules() if isinstance(m, nn.ModuleList)), key=len, default=())
    model.requires_grad_(False)
    for layer in list(stack)[len(stack) - min(layers, len(stack)) :]:
        layer.requires_grad_(True)
