"""The cosine of the whole gradient (Geiping et al., NeurIPS 2020), carried over to text."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, Field

from textleak.attacks.base import Attack, Session
from textleak.attacks.matching.descent import DescentOptions, descend, make_objective
from textleak.core.reconstruction import Candidate
from textleak.core.update import SharedUpdate
from textleak.gradients import Distance
from textleak.models.text_model import TextModel
from textleak.optim.decay import DECAY_AT


class CosineOptions(DescentOptions):
    """How `cosine` goes: signed Adam, a tenth of the rate three times, as for images."""

    decay: float = Field(default=0.1, gt=0, le=1)
    decay_at: tuple[float, ...] = DECAY_AT
    signed: bool = True


class Cosine(Attack[CosineOptions]):
    """One cosine over all tensors as one vector, signed Adam from a normal start."""

    name: ClassVar[str] = "cosine"
    options_class: ClassVar[type[BaseModel]] = CosineOptions

    def run(self, model: TextModel, update: SharedUpdate, session: Session) -> Candidate:
        """Descend from one start a restart."""
        distance = Distance("cosine-all", weights={model.family.embeddings.words.name: 0.0})
        objective = make_objective(model, update, self.options, distance)
        return descend(objective, session, self.options, objective.start(self.options.restarts))
