"""Texts and images to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from textleak.core.batch import TokenBatch
from textleak.core.errors import DataError
from textleak.models.text_model import TextModel
from textleak.vision.batch import ImageBatch
from textleak.vision.models.image_model import ImageModel

_CHUNK = 32


def split(count: int, test: float, seed: int = 0) -> tuple[list[int], list[int]]:
    """Which of `count` examples are learnt from, and on which the model is tested.

    Args:
        count: how many there are.
        test: the fraction to test on.
        seed: draws them.

    Raises:
        DataError: one of the two would be empty.
    """
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist()
    held = round(test * count)
    if not 0 < held < count:
        raise DataError(f"expected examples to learn from and to test on, got {count} in all")
    return sorted(order[held:]), sorted(order[:held])


class Learner:
    """What every learner shares, whatever it learns from: a model, and the examples to learn from."""

    model: TextModel | ImageModel
    learnt: Sequence[int]

    @property
    def module(self) -> nn.Module:
        """The model."""
        return self.model.module

    @property
    def names(self) -> Sequence[str]:
        """The parameters that are trained."""
        return tuple(self.model.parameters)

    @property
    def count(self) -> int:
        """How many examples there are to learn from."""
        return len(self.learnt)


@dataclass(frozen=True)
class TextLearner(Learner):
    """Sentences and their classes.

    Attributes:
        model: a classifier of sentences.
        sentences: all of them.
        labels: their classes.
        learnt: those to learn from.
        tested: those to test on.
    """

    model: TextModel
    sentences: Sequence[str]
    labels: Sequence[int]
    learnt: Sequence[int]
    tested: Sequence[int]

    def loss(self, rows: Sequence[int]) -> Tensor:
        """The mean training loss of these examples."""
        return self.model.loss(self._batch([self.learnt[row] for row in rows]))

    @torch.no_grad()
    def accuracy(self) -> float:
        """The fraction of test sentences that the model gets right as it stands."""
        right = 0
        for start in range(0, len(self.tested), _CHUNK):
            batch = self._batch(self.tested[start : start + _CHUNK]).to(self.model.device)
            logits, _ = self.model.task.outputs(
                self.model, self.model.encode(batch), batch.attention_mask, batch.labels
            )
            right += int((logits.argmax(1) == batch.labels).sum())
        return right / len(self.tested)

    def _batch(self, rows: Sequence[int]) -> TokenBatch:
        encoded = self.model.tokenizer(
            [self.sentences[row] for row in rows],
            padding=True,
            truncation=True,
            max_length=self.model.max_length,
            return_tensors="pt",
        )
        labels = torch.tensor([self.labels[row] for row in rows])
        return TokenBatch(encoded["input_ids"], encoded["attention_mask"], labels)


@dataclass(frozen=True)
class ImageLearner(Learner):
    """Pictures and their classes.

    Attributes:
        model: a classifier of images.
        images: all of them.
        learnt: those to learn from.
        tested: those to test on.
    """

    model: ImageModel
    images: ImageBatch
    learnt: Sequence[int]
    tested: Sequence[int]

    def loss(self, rows: Sequence[int]) -> Tensor:
        """The mean training loss of these examples."""
        return self.model.loss(self.images.take([self.learnt[row] for row in rows]))

    @torch.no_grad()
    def accuracy(self) -> float:
        """The fraction of test pictures that the model gets right as it stands."""
        batch = self.images.take(self.tested)
        return float((self.model.logits(batch.pixels).argmax(1) == batch.labels).float().mean())
