"""Top-k sparsification with error feedback (Stich et al. 2018; Lin et al. 2018)."""

from __future__ import annotations

import math
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from textleak.core.bounds import MOST_STEPS
from textleak.defences.base import Step, UpdateDefence
from textleak.defences.sparsity import Scope, keep_largest


class TopKOptions(BaseModel):
    """What is kept.

    Attributes:
        ratio: the fraction of entries that is shared, one a tensor at the least.
        scope: the largest of each tensor, or of all tensors together.
        earlier: steps that the client took before on the same examples at the same weights: what
            they left unsent is in this update.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ratio: float = Field(default=0.01, gt=0, le=1)
    scope: Scope = "tensor"
    earlier: int = Field(default=0, ge=0, le=MOST_STEPS)


class TopK(UpdateDefence[TopKOptions]):
    """Shares the largest entries only; what is not sent is added to the client's next gradient."""

    name: ClassVar[str] = "topk"
    options_class: ClassVar[type[BaseModel]] = TopKOptions
    promises: ClassVar[str] = (
        "No proof; what one update leaves out comes with a later one, so it delays rather than hides."
    )
    costs: ClassVar[str] = "Little accuracy, a residual as large as the model at the client."

    def protect(self, gradients: dict[str, Tensor], step: Step) -> dict[str, Tensor]:
        """The largest entries of gradient and residual; the rest becomes the new residual."""
        ratio, scope = self.options.ratio, self.options.scope
        sent = gradients
        for _ in range(self.options.earlier + 1):
            whole = {name: g + step.memory.get(name, 0) for name, g in gradients.items()}
            sent = keep_largest(whole, lambda size: math.ceil(ratio * size), scope)
            step.memory.update({name: whole[name] - sent[name] for name in whole})
        return sent
