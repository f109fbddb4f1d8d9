"""What is minimised over dummy inputs and soft labels: the distance of their gradient from the shared one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from textleak.attacks.matching.dummy import Dummy
from textleak.attacks.matching.facts import Facts
from textleak.attacks.matching.items import SoftLabels
from textleak.gradients import Matcher, Recorder, value_and_slope
from textleak.models.text_model import TextModel


@dataclass(frozen=True)
class Objective:
    """The distance of R dummy batches' gradients from the shared one, as a function of variables.

    Attributes:
        model: the public model.
        facts: the frame of the batch.
        dummy: the input's variables, the first `dummy.size` columns.
        labels: the labels' variables, the rest.
        matcher: compares gradients.
        at_once: how many dummy batches one pass takes at most; None is all.
    """

    model: TextModel
    facts: Facts
    dummy: Dummy
    labels: SoftLabels
    matcher: Matcher
    at_once: int | None = None

    def start(self, restarts: int) -> Tensor:
        """Random variables (R, D)."""
        parts = [self.dummy.start(restarts), self.labels.start(restarts)]
        return torch.cat(parts, 1).to(self.model.device)

    def __call__(self, variables: Tensor) -> tuple[Tensor, Tensor]:
        """Distances (R,) and their gradients (R, D) at `variables` (R, D)."""
        return value_and_slope(self._distances, variables, self.at_once)

    def values(self, variables: Tensor) -> Tensor:
        """Distances (R,) alone at `variables` (R, D), which is cheaper."""
        parts = variables.detach().split(self.at_once or len(variables))  # type: ignore[no-untyped-call]
        return torch.cat([self._distances(part, differentiable=False) for part in parts])

    def _distances(self, variables: Tensor, *, differentiable: bool = True) -> Tensor:
        return self.matcher(
            lambda recorder: self._losses(variables, recorder),
            candidates=len(variables),
            batch=self.facts.sequences,
            differentiable=differentiable,
        )

    def _losses(self, variables: Tensor, recorder: Recorder) -> Tensor:
        inputs, labels = torch.split(variables, [self.dummy.size, self.labels.size], dim=1)
        mask = self.facts.attention_mask.repeat(len(variables), 1).to(self.model.device)
        types = self.model.token_types(self.facts.frame)  # (B, T)
        states = self.model.family.encode(
            inputs_embeds=self.dummy.embeddings(inputs, recorder),
            attention_mask=mask,
            token_types=None if types is None else types.repeat(len(variables), 1).to(mask.device),
        )
        return self.labels.loss(states, labels)


def at_once(model: TextModel, wanted: int | None) -> int | None:
    """How many candidates one pass takes: as many as wanted, and as the model's family allows."""
    most = model.family.at_once
    return wanted if most is None else min(most, wanted or most)
