"""How a training loss is taken, as torch has it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from textleak.core.bounds import MOST_CLASSES


def _listed(value: Any) -> Any:
    values = value if isinstance(value, list | tuple) else [value]
    return [
        part for each in values for part in (each.split(",") if isinstance(each, str) else [each])
    ]


Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Weights = Annotated[
    tuple[Weight, ...],
    Field(min_length=1, max_length=MOST_CLASSES),
    BeforeValidator(_listed),  # a line of them, as 1,2.5,1, stands for the list
]
Reduction = Literal["mean", "sum"]
Smoothing = Annotated[float, Field(ge=0, lt=1)]
Function = Annotated[
    str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$", max_length=200)
]  # as `module:function`


class LossOptions(BaseModel):
    """How a loss is taken; public, as the optimiser's settings are.

    Attributes:
        reduction: mean or sum over what bears loss.
        smoothing: how much of each target of a cross-entropy is spread over all labels.
        weights: of each class of a cross-entropy; the mean is then weighted.
        function: one's own loss of an item in the place of the task's, as `module:function`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    reduction: Reduction = "mean"
    smoothing: Smoothing = 0.0
    weights: Weights | None = None
    function: Function | None = None
