"""Next-token prediction: every token is the label of the one before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from textleak.core.batch import IGNORED, TokenBatch
from textleak.tasks.base import Chances, Label, TextTask

if TYPE_CHECKING:
    from textleak.models.text_model import TextModel


class Causal(TextTask):
    """The next token; labels are (B, T), the token that follows, IGNORED at the last and at padding."""

    name = "causal"
    bears = "tokens"
    labelled = False
    words = True
    auto_class = "AutoModelForCausalLM"
    refused = ("ForMaskedLM", "ForSequenceClassification", "ForTokenClassification")
    tokens_needed = ("pad",)

    def batch(
        self,
        model: TextModel,
        input_ids: Tensor,
        attention_mask: Tensor,
        given: Sequence[Label] | None,
        chances: Chances,
    ) -> TokenBatch:
        """Sentences whose labels are their own tokens."""
        return self.relabelled(TokenBatch(input_ids, attention_mask, input_ids))

    def relabelled(self, batch: TokenBatch) -> TokenBatch:
        """Labels shifted by one; padding bears none."""
        labels = torch.full_like(batch.input_ids, IGNORED)
        follows = batch.attention_mask[:, 1:].bool()
        labels[:, :-1] = torch.where(follows, batch.input_ids[:, 1:], IGNORED)
        return TokenBatch(batch.input_ids, batch.attention_mask, labels)

    def width(self, model: TextModel) -> int:
        """The vocabulary's size."""
        return len(model.word_table)

    def outputs(
        self, model: TextModel, states: Tensor, attention_mask: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits over words of every token that another follows."""
        bearing = labels != IGNORED  # (B, T)
        return model.family.word_logits(states[bearing]), labels[bearing]

    def rows(self, batch: TokenBatch) -> list[list[Any]]:
        """The tokens that are labels."""
        return [row[row != IGNORED].tolist() for row in batch.labels]

    def texts(self, tokenizer: PreTrainedTokenizerBase, rows: list[list[Any]]) -> list[list[str]]:
        """Nothing that the text does not say."""
        return [[] for _ in rows]

    def unlabelled(self, ids: Tensor) -> Tensor:
        """No token bears loss."""
        return torch.full_like(ids, IGNORED)
