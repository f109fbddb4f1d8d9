"""A run's place in a grid."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Cell(BaseModel):
    """A run's place in the grid, by the names that the report shows.

    Attributes:
        texts: the set of texts.
        index: the place of its batch in the set, counted from 0.
        batch_size: the axis's value; the last batch of a set may hold fewer.
        model: the model.
        task: the training task.
        attack: the attack.
        defence: the defences in their order, or `none`.
        share: the shared parameters, or `all`.
        seed: the axis's value; the run's own seed is `seed + index`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    texts: str
    index: int
    batch_size: int
    model: str
    task: str
    attack: str
    defence: str
    share: str
    seed: int

    @property
    def title(self) -> str:
        """One line for people."""
        parts = [self.attack, self.model, self.task, self.defence]
        if self.share != "all":
            parts.append(f"shared {self.share}")
        return " · ".join(parts) + f" · {self.texts} {self.index + 1} · seed {self.seed}"
