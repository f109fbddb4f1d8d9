"""The public language model as attacks and clients use it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from textleak.core.batch import TokenBatch
from textleak.core.feed import Feed
from textleak.core.update import ModelRecipe
from textleak.models.families import Family, family_of
from textleak.models.marks import Marks
from textleak.tasks.base import TextTask


@dataclass(frozen=True)
class TextModel:
    """A language model with its tokenizer, its task, and what is said of how it was made.

    Attributes:
        module: the transformers model; eager attention, evaluation mode.
        tokenizer: its tokenizer.
        task: what is trained, and by which loss.
        recipe: how to load it again.
        notes: what a reader of results must know of the weights.
    """

    module: nn.Module
    tokenizer: PreTrainedTokenizerBase
    task: TextTask
    recipe: ModelRecipe
    notes: tuple[str, ...] = field(default=())

    @cached_property
    def family(self) -> Family:
        """Handles on the module's parts, by whatever names its family has them."""
        return family_of(self.module)

    @cached_property
    def parameters(self) -> dict[str, nn.Parameter]:
        """The trainable parameters by name; a tied parameter appears once."""
        return {n: p for n, p in self.module.named_parameters() if p.requires_grad}

    @property
    def device(self) -> torch.device:
        """The device that the weights are on."""
        return next(self.module.parameters()).device

    @property
    def word_table(self) -> Tensor:
        """The word embeddings, (V, H)."""
        return self.family.embeddings.words.parameter

    @property
    def max_length(self) -> int:
        """The most tokens that a sequence may have, special tokens included."""
        return self.family.max_length

    @property
    def label_count(self) -> int:
        """How many labels there are: classes, numbers, or words."""
        return self.task.width(self)

    def loss(self, batch: TokenBatch) -> Tensor:
        """The training loss of `batch`, as its task takes it."""
        batch = batch.to(self.device)
        return self.task.loss(self, self.encode(batch), batch)

    @property
    def feed(self) -> Feed:
        """How texts become what the model is fed."""
        return self.recipe.feed

    @cached_property
    def marks(self) -> Marks:
        """The special tokens around texts, and between two segments."""
        return Marks.of(self.tokenizer, self.feed)

    def encode(self, batch: TokenBatch) -> Tensor:
        """Last hidden states (B, T, H) of a batch on the model's device."""
        return self.states(batch.input_ids, batch.attention_mask)

    def states(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Last hidden states (B, T, H) of token ids (B, T), with the types that follow from them."""
        return self.family.encode(
            input_ids=input_ids,
            attention_mask=attention_mask,
            token_types=self.token_types(input_ids),
        )

    def token_types(self, ids: Tensor) -> Tensor | None:
        """The segment of each of the ids (..., T), 0 or 1; None where the model is told of none.

        What stands behind the first separator of a pair is its second segment.
        """
        if not self.feed.pairs or self.family.segments < 2:
            return None
        separators = (ids == int(self.tokenizer.sep_token_id)).long()
        return (separators.cumsum(-1) > separators).long()

    def segments(self, ids: list[int]) -> list[list[int]]:
        """The words of each segment of a sequence; one of what is no pair."""
        if not self.marks.inner:
            return [ids]
        parts: list[list[int]] = [[]]
        for token in ids:
            if token == self.marks.inner[0]:
                parts.append([])
            else:
                parts[-1].append(token)
        return [part for part in parts if part]

    def decode(self, ids: list[int]) -> str:
        """The text of token ids, special tokens left out but [MASK] and [UNK] shown."""
        hidden = {
            self.tokenizer.cls_token_id,
            self.tokenizer.sep_token_id,
            self.tokenizer.pad_token_id,
        }
        if not self.feed.framed:
            hidden = {self.tokenizer.pad_token_id}
        texts = [
            self.tokenizer.decode(
                [i for i in part if i not in hidden], clean_up_tokenization_spaces=False
            )
            for part in self.segments(ids)
        ]
        return f" {self.tokenizer.sep_token} ".join(map(str, texts))

    def parts(self, ids: list[int]) -> list[str] | None:
        """The text of each segment of a pair; None of what is none."""
        return [self.decode(part) for part in self.segments(ids)] if self.feed.pairs else None


def fingerprint(module: nn.Module) -> str:
    """A short digest of every weight, to tell whether an update was made with these weights."""
    digest = hashlib.sha256()
    for name, parameter in sorted(module.named_parameters()):
        digest.update(name.encode())
        digest.update(parameter.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
