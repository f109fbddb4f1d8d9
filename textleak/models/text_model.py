"""The public language model as attacks and clients use it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from textleak.core.batch import TokenBatch
from textleak.core.update import ModelRecipe
from textleak.models.families import Family, family_of
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

    def encode(self, batch: TokenBatch) -> Tensor:
        """Last hidden states (B, T, H) of a batch on the model's device."""
        return self.family.encode(input_ids=batch.input_ids, attention_mask=batch.attention_mask)

    def decode(self, ids: list[int]) -> str:
        """The text of token ids, special tokens left out but [MASK] and [UNK] shown."""
        hidden = {
            self.tokenizer.cls_token_id,
            self.tokenizer.sep_token_id,
            self.tokenizer.pad_token_id,
        }
        kept = [i for i in ids if i not in hidden]
        return str(self.tokenizer.decode(kept, clean_up_tokenization_spaces=False))


def fingerprint(module: nn.Module) -> str:
    """A short digest of every weight, to tell whether an update was made with these weights."""
    digest = hashlib.sha256()
    for name, parameter in sorted(module.named_parameters()):
        digest.update(name.encode())
        digest.update(parameter.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
