"""An adapter's first steps on public text: after them B is no longer zero, as after a first round."""

from __future__ import annotations

from functools import partial

import torch
from pydantic import BaseModel, ConfigDict, Field

from textleak.core.bounds import Count
from textleak.core.randomness import stream
from textleak.models.public_text import SENTENCES
from textleak.models.text_model import TextModel
from textleak.tasks.base import Chances


class AdapterTraining(BaseModel):
    """How an adapter is trained on public text; the rate is that of common recipes (Dettmers et al., 2023).

    Attributes:
        rate: AdamW's.
        batch_size: sentences a step, taken in turn.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rate: float = Field(default=2e-4, gt=0)
    batch_size: Count = 4


def train_adapter(
    model: TextModel, steps: int, seed: int, options: AdapterTraining | None = None
) -> None:
    """Train the model's trainable parameters on public sentences, in place, and without dropout.

    In double precision, rounded at the end: Adam makes much of the signs of small numbers, and two
    machines are to come to the same weights.

    Args:
        model: a public model with an adapter.
        steps: AdamW steps.
        seed: seeds masks and labels, where the task draws any.
        options: how it is trained.
    """
    options = options or AdapterTraining()
    module, dtype = model.module, next(model.module.parameters()).dtype
    module.double()
    try:
        optimiser = torch.optim.AdamW(model.parameters.values(), lr=options.rate)
        for step in range(steps):
            first = step * options.batch_size
            texts = [SENTENCES[(first + i) % len(SENTENCES)] for i in range(options.batch_size)]
            encoded = model.tokenizer(texts, padding=True, return_tensors="pt")
            chances = Chances(partial(stream, seed, "adapter", step), 0.15)
            batch = model.task.batch(
                model, encoded["input_ids"], encoded["attention_mask"], None, chances
            )
            optimiser.zero_grad()
            with torch.enable_grad():
                model.loss(batch).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        optimiser.zero_grad()
    finally:
        module.to(dtype)
