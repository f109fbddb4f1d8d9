"""An attack that guesses that every picture is grey."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import BaseModel, ConfigDict, Field

from textleak.core.update import SharedUpdate
from textleak.vision.attacks.base import ImageAttack, ImageSession
from textleak.vision.batch import ImageBatch
from textleak.vision.models.image_model import ImageModel
from textleak.vision.reconstruction import ImageCandidate


class GreyOptions(BaseModel):
    """Which grey."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    brightness: float = Field(default=0.5, ge=0, le=1)


class Grey(ImageAttack[GreyOptions]):
    """Guesses grey pictures of class 0, whatever was shared."""

    name: ClassVar[str] = "grey"
    options_class: ClassVar[type[BaseModel]] = GreyOptions

    def run(self, model: ImageModel, update: SharedUpdate, session: ImageSession) -> ImageCandidate:
        """One guess."""
        count = update.metadata.batch_size or 1
        pixels = torch.full((count, *model.shape), self.options.brightness)
        candidate = ImageCandidate(
            ImageBatch(pixels, torch.zeros(count, dtype=torch.long)), objective=0.0
        )
        session.progress(candidate, stage="guess", iteration=1, total=1)
        return candidate
