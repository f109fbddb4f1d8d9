"""Token classification: a class for every token of the sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from textleak.core.batch import IGNORED, TokenBatch
from textleak.core.errors import DataError
from textleak.tasks.base import Chances, Label, TextTask, is_whole

if TYPE_CHECKING:
    from textleak.models.text_model import TextModel


class TokenClassification(TextTask):
    """A class for every token but the frame's; labels are (B, T) class indices."""

    name = "token-classification"
    bears = "tokens"
    auto_class = "AutoModelForTokenClassification"
    refused = (
        "ForSequenceClassification",
        "ForQuestionAnswering",
        "ForMultipleChoice",
        "ForNextSentencePrediction",
    )

    def batch(
        self,
        model: TextModel,
        input_ids: Tensor,
        attention_mask: Tensor,
        given: Sequence[Label] | None,
        chances: Chances,
    ) -> TokenBatch:
        """Sentences with a class for each of their tokens, as given, or drawn."""
        classes = self.width(model)
        special = set(model.tokenizer.all_special_ids) - {model.tokenizer.unk_token_id}
        bearing = ~torch.isin(input_ids, torch.tensor(sorted(special))) & attention_mask.bool()
        labels = torch.full_like(input_ids, IGNORED)
        if given is None:
            labels[bearing] = chances.stream("classes").below(classes, int(bearing.sum()))
            return TokenBatch(input_ids, attention_mask, labels)
        if len(given) != len(input_ids):
            raise DataError(f"expected labels of {len(input_ids)} sentences, got {len(given)}")
        for row, own in enumerate(given):
            listed = list(own) if isinstance(own, Sequence) else [own]
            count = int(bearing[row].sum())
            if len(listed) != count:
                raise DataError(f"sentence {row + 1} has {count} tokens, got {len(listed)} labels")
            if not all(isinstance(label, int) and 0 <= label < classes for label in listed):
                raise DataError(f"labels must lie between 0 and {classes - 1}, got {listed}")
            labels[row, bearing[row]] = torch.tensor(listed, dtype=torch.long)
        return TokenBatch(input_ids, attention_mask, labels)

    @classmethod
    def wrong_label(cls, label: object) -> str | None:
        """A list, one class a token."""
        fits = isinstance(label, list) and all(map(is_whole, label))
        return None if fits else "expected a list of whole numbers, one a token"

    def width(self, model: TextModel) -> int:
        """The number of classes of a token."""
        return int(model.module.config.num_labels)  # type: ignore[union-attr, arg-type]

    def outputs(
        self, model: TextModel, states: Tensor, attention_mask: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits of the tokens that bear loss."""
        bearing = labels != IGNORED  # (B, T)
        return model.family.token_logits(states[bearing]), labels[bearing]

    def rows(self, batch: TokenBatch) -> list[list[Any]]:
        """The classes of each sequence's tokens."""
        return [row[row != IGNORED].tolist() for row in batch.labels]

    def unlabelled(self, ids: Tensor) -> Tensor:
        """No token bears loss."""
        return torch.full_like(ids, IGNORED)

    def moves(self, model: TextModel, labels: Tensor) -> list[tuple[tuple[int, ...], float]]:
        """Every other class at every token."""
        return [
            ((int(row), int(at)), label)
            for row, at in (labels != IGNORED).nonzero()
            for label in range(self.width(model))
            if label != int(labels[row, at])
        ]

    def other(self, model: TextModel, labels: Tensor, alone: bool) -> Tensor | None:
        """The next class at the first token."""
        classes, places = self.width(model), (labels[0] != IGNORED).nonzero().flatten()
        if classes < 2 or not len(places):
            return None
        changed = labels.clone()
        changed[0, places[0]] = (changed[0, places[0]] + 1) % classes
        return changed
