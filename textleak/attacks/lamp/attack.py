"""The attack `lamp`: continuous descent in turn with moves of whole words, judged by a prior."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

import torch
from pydantic import BaseModel
from torch import Tensor

from textleak.attacks.base import Attack, Session
from textleak.attacks.descent.tag import tag_distance
from textleak.attacks.lamp.options import LampOptions
from textleak.attacks.lamp.sentences import Sentences
from textleak.attacks.matching.descent import descend, make_objective
from textleak.core.reconstruction import Candidate
from textleak.core.update import SharedUpdate
from textleak.gradients import Distance
from textleak.models.causal import LanguagePrior, load_prior
from textleak.models.text_model import TextModel


class Lamp(Attack[LampOptions]):
    """Cosine or L2+L1 with embeddings of usual norm, words reordered on the way, with a prior."""

    name: ClassVar[str] = "lamp"
    options_class: ClassVar[type[BaseModel]] = LampOptions

    @cached_property
    def prior(self) -> LanguagePrior | None:
        """The language model, loaded once for all updates."""
        return None if self.options.prior is None else load_prior(self.options.prior)

    def run(self, model: TextModel, update: SharedUpdate, session: Session) -> Candidate:
        """Choose a start, then descend and reorder in turn."""
        options = self.options
        weights = {model.family.embeddings.words.name: 0.0}  # free embeddings have no words
        objective = make_objective(
            model,
            update,
            options,
            Distance("cosine", weights=weights)
            if options.distance == "cosine"
            else tag_distance(model, options.alpha, {}),
        )
        sentences = Sentences(model, objective, session, self.prior, options)
        burnt = options.burn_in * options.iterations

        def change(iteration: int, points: Tensor) -> Tensor | None:
            if iteration < burnt or iteration % options.every:
                return None
            return torch.stack([sentences.reordered(point) for point in points])

        return descend(
            objective,
            session,
            options,
            sentences.start(),
            penalty=sentences.penalty,
            change=change,
        )
