"""TAG: Gradient Attack on Transformer-based Language Models (Deng et al., EMNLP Findings 2021)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

from pydantic import BaseModel, Field

from textleak.attacks.base import Attack, Session
from textleak.attacks.matching.descent import DescentOptions, descend, make_objective
from textleak.core.layer_names import layer_number
from textleak.core.reconstruction import Candidate
from textleak.core.update import SharedUpdate
from textleak.gradients import Distance
from textleak.models.text_model import TextModel


class TagOptions(DescentOptions):
    """How `tag` goes.

    Attributes:
        alpha: weight of L1 beside L2.
        by_layer: `linear` lets the weight of L1 fall from the first layer to the last (section
            3.3: front layers tell more), `uniform` does not.
    """

    weight_decay: float = Field(default=0.01, ge=0)
    alpha: float = Field(default=0.01, ge=0)
    by_layer: Literal["linear", "uniform"] = "linear"


class Tag(Attack[TagOptions]):
    """L2 and L1 distance of every tensor, L1 weighted by layer, AdamW from a normal start."""

    name: ClassVar[str] = "tag"
    options_class: ClassVar[type[BaseModel]] = TagOptions

    def run(self, model: TextModel, update: SharedUpdate, session: Session) -> Candidate:
        """Descend from one start a restart."""
        alphas = layer_weights(update.gradients) if self.options.by_layer == "linear" else {}
        objective = make_objective(
            model, update, self.options, tag_distance(model, self.options.alpha, alphas)
        )
        return descend(objective, session, self.options, objective.start(self.options.restarts))


def tag_distance(model: TextModel, alpha: float, alphas: dict[str, float]) -> Distance:
    """L2 plus alpha times L1; free embeddings have no words, so the word table is left out."""
    return Distance(
        "tag", weights={model.family.embeddings.words.name: 0.0}, alpha=alpha, alphas=alphas
    )


def layer_weights(names: Iterable[str]) -> dict[str, float]:
    """A factor on L1 for every tensor: 1 before the first layer, falling evenly to the head's.

    >>> layer_weights(["embeddings.weight", "layer.0.w", "layer.1.w", "head.w"])
    {'embeddings.weight': 1.0, 'layer.0.w': 0.75, 'layer.1.w': 0.5, 'head.w': 0.25}
    """
    numbers = {name: layer_number(name) for name in names}
    layers = 1 + max((n for n in numbers.values() if n is not None), default=-1)
    weights = {}
    for name, number in numbers.items():
        if number is None:
            number = -1 if "embeddings" in name else layers
        weights[name] = 1 - (number + 1) / (layers + 2)
    return weights
