"""What is asked of a training task: its labels, its loss, and what an attack may make soft."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from textleak.core.batch import IGNORED, TokenBatch
from textleak.core.errors import ConfigError, ModelError
from textleak.core.loss import LossOptions
from textleak.core.randomness import Stream
from textleak.tasks.losses import Losses
from textleak.tasks.own_loss import alike, check_own, own_loss

if TYPE_CHECKING:
    from textleak.models.text_model import TextModel

Label = int | float | Sequence[int] | Sequence[float]  # of one sequence, as people give it
Bears = Literal["sequences", "tokens", "places"]


class Task:
    """What can be said of a task, whatever it is trained on.

    Attributes:
        name: as in options and files.
        bears: what bears loss: every sequence once, every token, or places that the client draws.
        labelled: labels are given by people, with the text.
        one_class: a sequence or image has one label, its class.
        lengths: examples have lengths.
        bounded: labels are numbers from 0 to the model's width.
    """

    name: ClassVar[str]
    bears: ClassVar[Bears] = "sequences"
    labelled: ClassVar[bool] = True
    one_class: ClassVar[bool] = False
    lengths: ClassVar[bool] = True
    bounded: ClassVar[bool] = True

    @classmethod
    def wrong_label(cls, label: object) -> str | None:
        """What is wrong with a label as a file of sentences has it; None where nothing is."""
        return None if is_whole(label) else "expected a whole number"


class ImageTask(Task):
    """Images and their classes."""

    name = "image"
    one_class = True
    lengths = False


def is_whole(label: object) -> bool:
    """Whether a label is a whole number; true and false are none."""
    return isinstance(label, int) and not isinstance(label, bool)


def is_number(label: object) -> bool:
    """Whether a label is a finite number."""
    return is_whole(label) or (isinstance(label, float) and math.isfinite(label))


@dataclass(frozen=True)
class Chances:
    """What a client draws while it prepares a batch.

    Attributes:
        stream: the source of randomness for a purpose.
        mask_rate: the fraction of tokens that masked-LM predicts.
    """

    stream: Callable[[str], Stream]
    mask_rate: float = 0.15


class TextTask(Task, Losses, ABC):
    """A task of language models; the defaults are those of a cross-entropy over classes.

    Args:
        options: how the loss is taken.

    Attributes:
        auto_class: transformers' class that loads a model with this task's head.
        refused: how transformers' names of heads end that are trained with another loss; what has no
            trained head at all may be given any.
        words: labels are words of the vocabulary.
        cross_entropy: the loss is one, which smoothing and class weights are of.
        tokens_needed: the special tokens that a tokenizer must have.
    """

    auto_class: ClassVar[str]
    refused: ClassVar[tuple[str, ...]]
    words: ClassVar[bool] = False
    cross_entropy: ClassVar[bool] = True
    tokens_needed: ClassVar[tuple[str, ...]] = ("cls", "sep", "pad")

    def __init__(self, options: LossOptions | None = None) -> None:
        self.options = options or LossOptions()
        named = self.options.function
        if named is not None and (self.options.weights or self.options.smoothing):
            raise ConfigError(
                "a loss of one's own has no label smoothing and no class weights of ours"
            )
        if named is not None and self.words and self.bears == "tokens":
            raise ConfigError(
                f"{self.name} is read by its cross-entropy: no other loss is attacked"
            )
        self.own = None if named is None else own_loss(named)
        if self.options.weights is not None and self.words:
            raise ConfigError(f"{self.name} has words for labels: class weights do not apply")
        if not self.cross_entropy and (self.options.weights or self.options.smoothing):
            raise ConfigError(
                f"{self.name} has another loss than a cross-entropy: label smoothing and class "
                "weights do not apply"
            )

    def check_loss(self, model: TextModel) -> None:
        """Refuse class weights of another number than the model's classes, and a loss that is none.

        Raises:
            ConfigError: there are more or fewer, or one's own loss cannot be followed.
        """
        weights = self.options.weights
        if self.own is not None:
            check_own(str(self.options.function), self.own, torch.eye(2, self.width(model)))
        if weights is not None and len(weights) != self.width(model):
            raise ConfigError(f"expected {self.width(model)} class weights, got {len(weights)}")

    def check(self, name: str, config: PretrainedConfig) -> None:
        """Refuse a model whose configuration asks for another loss.

        Raises:
            ModelError: the folder is trained for something else.
        """
        for architecture in config.architectures or ():
            if architecture.endswith(self.refused):
                raise ModelError(
                    f"{name!r} is a {architecture}, whose loss is not that of the task {self.name!r}"
                )

    @abstractmethod
    def batch(
        self,
        model: TextModel,
        input_ids: Tensor,
        attention_mask: Tensor,
        given: Sequence[Label] | None,
        chances: Chances,
    ) -> TokenBatch:
        """What a client feeds the model for sentences (B, T): labels as given, or drawn.

        Raises:
            DataError: labels that do not fit.
        """

    @abstractmethod
    def width(self, model: TextModel) -> int:
        """How many numbers the logits of one item have."""

    @abstractmethod
    def outputs(
        self, model: TextModel, states: Tensor, attention_mask: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits (n, C) and targets of what bears loss, in the batch's order, from states (B, T, H)."""

    def loss(self, model: TextModel, states: Tensor, batch: TokenBatch) -> Tensor:
        """The training loss of a batch from its states (B, T, H)."""
        logits, targets = self.outputs(model, states, batch.attention_mask, batch.labels)
        return self.candidate_losses(logits, targets, 1)[0]

    def hard(self, targets: Tensor) -> Tensor:
        """Labels (n,) of soft targets (n, C)."""
        return targets.argmax(-1)

    def rows(self, batch: TokenBatch) -> list[list[Any]]:
        """Of each sequence what its label is, in a list."""
        return [[label] for label in batch.labels.tolist()]

    def places(self, batch: TokenBatch) -> list[list[int]] | None:
        """Of each sequence where it bears loss; None where that is no secret."""
        return None

    def filled(self, batch: TokenBatch) -> list[list[int]]:
        """The original token ids of each sequence, without padding."""
        return batch.rows()

    def texts(self, tokenizer: PreTrainedTokenizerBase, rows: list[list[Any]]) -> list[list[str]]:
        """Labels for people; ? where one is not known yet."""
        return [["?" if label == IGNORED else str(label) for label in row] for row in rows]

    def unlabelled(self, ids: Tensor) -> Tensor:
        """Labels of sequences (B, T) of which none is known yet."""
        return torch.full(ids.shape[:1], IGNORED)

    def relabelled(self, batch: TokenBatch) -> TokenBatch:
        """The batch with labels that follow from its words, where labels do."""
        return batch

    def known(self, rows: Sequence[Sequence[Any]]) -> Tensor:
        """Targets of all items in order, from the labels that an update grants."""
        return torch.tensor([label for row in rows for label in row])

    @property
    def readable(self) -> bool:
        """Whether slopes show labels: under a loss of one's own those that can be tried one by one."""
        return self.own is None or (self.cross_entropy and not self.words)

    def read(self, logits: Tensor, slopes: Tensor) -> Tensor:
        """Targets (n, ...) that the loss's gradients at logits show; both (n, C).

        A mean cross-entropy over n items has the slope (p - y) / n. Of one's own loss of classes every
        class's slope is computed, and the one taken that points as the shared one does.
        """
        if self.own is not None:
            return alike(self.own, logits.cpu(), slopes.cpu())
        return self.plain_read(logits, slopes)

    def plain_read(self, logits: Tensor, slopes: Tensor) -> Tensor:
        """The same of the task's own loss."""
        if self.options.weights is not None or self.options.smoothing:
            return slopes.argmin(-1)  # the true label's alone is clearly negative
        likely: Tensor = logits.double().softmax(-1) - self.divisor(len(logits)) * slopes
        return likely.argmax(-1)

    def moves(self, model: TextModel, labels: Tensor) -> list[tuple[tuple[int, ...], float]]:
        """Small changes of a batch's labels: where, and what stands there then."""
        return []

    def other(self, model: TextModel, labels: Tensor, alone: bool) -> Tensor | None:
        """Labels (1, ...) of one sequence with another label; None where no update could tell.

        Args:
            model: the public model.
            labels: the sequence's.
            alone: it is the only one of its batch.
        """
        return None
