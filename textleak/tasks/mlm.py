"""Masked-LM: the words under masks, at places that the client draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from textleak.core.batch import IGNORED, TokenBatch
from textleak.core.errors import DataError
from textleak.tasks.base import Chances, Label, TextTask
from textleak.tasks.masking import mask_tokens

if TYPE_CHECKING:
    from textleak.models.text_model import TextModel


class MaskedLM(TextTask):
    """Words under masks (Devlin et al. 2019); labels are (B, T) word ids."""

    name = "mlm"
    bears = "places"
    labelled = False
    words = True
    auto_class = "AutoModelForMaskedLM"
    refused = ("ForCausalLM", "LMHeadModel")
    tokens_needed = ("cls", "sep", "pad", "mask")

    def batch(
        self,
        model: TextModel,
        input_ids: Tensor,
        attention_mask: Tensor,
        given: Sequence[Label] | None,
        chances: Chances,
    ) -> TokenBatch:
        """Sentences masked as BERT masks them; labels given by people have no use here."""
        tokenizer = model.tokenizer
        special = set(tokenizer.all_special_ids)
        corrupted, targets = mask_tokens(
            input_ids,
            special=special - {tokenizer.unk_token_id},
            mask_id=int(tokenizer.mask_token_id),
            words=torch.tensor([i for i in range(len(tokenizer)) if i not in special]),
            draws=chances.stream("masks"),
            rate=chances.mask_rate,
        )
        if not bool((targets != IGNORED).any()):
            raise DataError("no token of the batch can be masked: expected a word in a sentence")
        return TokenBatch(corrupted, attention_mask, targets)

    def width(self, model: TextModel) -> int:
        """The vocabulary's size."""
        return len(model.word_table)

    def outputs(
        self, model: TextModel, states: Tensor, attention_mask: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits over words of the places that bear loss."""
        bearing = labels != IGNORED  # (B, T)
        return model.family.word_logits(states[bearing]), labels[bearing]

    def rows(self, batch: TokenBatch) -> list[list[Any]]:
        """The words under the masks."""
        return [row[row != IGNORED].tolist() for row in batch.labels]

    def places(self, batch: TokenBatch) -> list[list[int]] | None:
        """The masked positions."""
        return [row.ne(IGNORED).nonzero().flatten().tolist() for row in batch.labels]

    def filled(self, batch: TokenBatch) -> list[list[int]]:
        """The token ids, the labels put in at their places."""
        ids = torch.where(batch.labels == IGNORED, batch.input_ids, batch.labels)
        return [row[:n].tolist() for row, n in zip(ids, batch.lengths, strict=True)]

    def texts(self, tokenizer: PreTrainedTokenizerBase, rows: list[list[Any]]) -> list[list[str]]:
        """The words."""
        return [[str(tokenizer.convert_ids_to_tokens(label)) for label in row] for row in rows]

    def unlabelled(self, ids: Tensor) -> Tensor:
        """No place bears loss."""
        return torch.full_like(ids, IGNORED)
