"""An attack for tests of everything around attacks: it is told the truth and pretends to find it."""

from __future__ import annotations

import time
from typing import ClassVar

import torch
from pydantic import BaseModel, ConfigDict

from textleak.attacks.base import Attack, Session
from textleak.core.batch import IGNORED, TokenBatch, length_mask
from textleak.core.reconstruction import Candidate
from textleak.core.update import SharedUpdate
from textleak.models.text_model import TextModel


class FakeOptions(BaseModel):
    """How the pretence goes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    labels: str = "joint"
    iterations: int = 20
    wrong: int = 0
    interrupt_at: int | None = None
    delay: float = 0.0


class FakeAttack(Attack[FakeOptions]):
    """Pretends; `wrong` words of every sentence stay wrong."""

    name = "fake"
    options_class = FakeOptions
    truths: ClassVar[list[TokenBatch]] = []

    def run(self, model: TextModel, update: SharedUpdate, session: Session) -> Candidate:
        truth = self.truths.pop(0) if self.truths else guess(model, update)
        candidate = None
        for iteration in range(self.options.iterations + 1):
            if iteration == self.options.interrupt_at:
                raise KeyboardInterrupt
            left = max(0, self.options.iterations - iteration)
            session.evaluated(2)
            wrong = max(self.options.wrong, left)
            candidate = blurred(truth, wrong, 10.0 ** (left / 10 - 3), len(model.tokenizer))
            session.progress(
                candidate, stage="match", iteration=iteration, total=self.options.iterations
            )
            time.sleep(self.options.delay)
        assert candidate is not None
        return candidate


def guess(model: TextModel, update: SharedUpdate) -> TokenBatch:
    """The same word everywhere, the first masked."""
    lengths = update.metadata.lengths or (4,)
    mask = length_mask(lengths)
    word = len(model.tokenizer) // 2
    ids = torch.full(mask.shape, word) * mask
    labels: torch.Tensor
    if model.task.bears == "places":
        labels = torch.full(mask.shape, IGNORED)
        labels[:, 1] = word
    else:
        labels = torch.zeros(len(lengths), dtype=torch.long)
    return TokenBatch(ids, mask, labels)


def blurred(truth: TokenBatch, wrong: int, objective: float, vocabulary: int) -> Candidate:
    """The truth with its last `wrong` words replaced, the special tokens left alone."""
    ids, labels = truth.input_ids.clone(), truth.labels.clone()
    for row, length in enumerate(truth.lengths):
        places = range(max(1, length - 1 - wrong), length - 1)
        for place in places:
            if labels.dim() == 2 and labels[row, place] != IGNORED:
                labels[row, place] = (labels[row, place] + 1) % vocabulary
            ids[row, place] = (ids[row, place] + 1) % vocabulary
    batch = TokenBatch(ids, truth.attention_mask, labels)
    confidence = [[0.5] * length for length in truth.lengths]
    return Candidate(batch, confidence, objective)
