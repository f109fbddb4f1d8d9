"""An attack that guesses the first words of the vocabulary."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import BaseModel, ConfigDict

from textleak.attacks.base import Attack, Session
from textleak.core.batch import IGNORED, TokenBatch
from textleak.core.reconstruction import Candidate
from textleak.core.update import SharedUpdate
from textleak.models.text_model import TextModel


class FirstWordsOptions(BaseModel):
    """How many words it guesses."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    words: int = 4


class FirstWords(Attack[FirstWordsOptions]):
    """Guesses one sentence of the first words, whatever was shared."""

    name: ClassVar[str] = "first-words"
    options_class: ClassVar[type[BaseModel]] = FirstWordsOptions

    def run(self, model: TextModel, update: SharedUpdate, session: Session) -> Candidate:
        """One guess."""
        middle = torch.arange(5, 5 + self.options.words)
        ids = torch.tensor([[2, *middle.tolist(), 3]])
        labels = torch.full_like(ids, IGNORED)
        labels[0, 1] = ids[0, 1]
        batch = TokenBatch(ids, torch.ones_like(ids), labels)
        candidate = Candidate(batch, [[1.0] * ids.shape[1]], objective=1.0)
        session.progress(candidate, stage="guess", iteration=0)
        return candidate
