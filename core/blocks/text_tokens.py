"""Texts as token ids with the sentence each token belongs to.

A sentence ends at a full stop, semicolon, exclamation or question mark that no digit follows ("0.12 s" is one), or with
its line. Sentences are found in the text and handed to tokens by character offsets, so any tokenizer that knows offsets
(every "fast" one of transformers) serves. When none is given, byte pairs (Sennrich et al. 2015,
https://arxiv.org/abs/1508.07909) are learned from the texts at hand.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_SENTENCE = re.compile(r"(?:[^.;!?\n]|[.](?=\d))+")
_SPECIAL = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}


@dataclass(frozen=True)
class TextTokens:
    """A batch of tokenised texts.

    ids: [row, token] int. sentence: [row, token] int, number of the sentence in its row, -1 = of none (special tokens,
    stops, padding). valid: [row, token] bool, False = padding; a row without any has no text.
    code: [row] int, equal for equal texts, -1 = no text.
    """

    ids: Tensor
    sentence: Tensor
    valid: Tensor
    code: Tensor

    def rows(self, index: Tensor) -> TextTokens:
        """Some rows, cut to the longest of them (at least two tokens, so that there is something to predict)."""
        valid = self.valid[index]
        longest = max(2, int(valid.sum(dim=1).max())) if len(index) else 2
        return TextTokens(
            self.ids[index, :longest], self.sentence[index, :longest], valid[:, :longest], self.code[index]
        )

    def to(self, device: torch.device | str) -> TextTokens:
        return TextTokens(*(field.to(device) for field in (self.ids, self.sentence, self.valid, self.code)))

    def __len__(self) -> int:
        return len(self.ids)


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """(start, stop) of each sentence of a text, in characters; what holds no letter or digit is none."""
    spans = (match.span() for match in _SENTENCE.finditer(text))
    return [(start, stop) for start, stop in spans if any(c.isalnum() for c in text[start:stop])]


def tokenize(tokenizer: Any, texts: Sequence[str], longest: int) -> TextTokens:
    """Token ids of texts, cut to `longest` tokens. tokenizer: a fast one of transformers."""
    encoded = tokenizer(
        list(texts) or [""], padding=True, truncation=True, max_length=longest, return_offsets_mapping=True,
        return_special_tokens_mask=True, return_tensors="pt",
    )  # fmt: skip
    count, has_text = len(texts), torch.tensor([bool(text) for text in texts], dtype=torch.bool)
    start, stop = encoded["offset_mapping"][:count].unbind(dim=-1)
    sentence = torch.full_like(start, -1)
    for row, text in enumerate(texts):
        for number, (first, last) in enumerate(sentence_spans(text)):
            sentence[row, (start[row] >= first) & (stop[row] <= last) & (stop[row] > start[row])] = number
    sentence[encoded["special_tokens_mask"][:count].bool()] = -1
    codes: dict[str, int] = {}
    code = torch.tensor([codes.setdefault(text, len(codes)) if text else -1 for text in texts], dtype=torch.long)
    valid = encoded["attention_mask"][:count].bool() & has_text.unsqueeze(1)
    return TextTokens(encoded["input_ids"][:count], sentence, valid, code)


def learn_tokenizer(texts: Sequence[str], vocabulary: int) -> Any:
    """A lower-casing byte-level BPE tokenizer of at most so many entries, a pure function of the set of texts.

    The 256 bytes are always among them, so no word is unknown. (The trainer of WordPiece numbers its pieces anew each
    time: a resumed run would read other ids.)
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    inner: Any = Tokenizer(models.BPE())
    inner.normalizer = normalizers.BertNormalizer(lowercase=True)
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=list(_SPECIAL.values()), show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    inner.train_from_iterator(sorted(set(texts)), trainer)
    ends = [(name, inner.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    inner.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return PreTrainedTokenizerFast(tokenizer_object=inner, **_SPECIAL)
