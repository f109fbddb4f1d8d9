"""What a metric is: how it is computed, which way is better, how it is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Literal

from pydantic import BaseModel, ConfigDict, field_validator

Aggregate = Literal["mean", "median", "min", "max"]
AGGREGATES: dict[Aggregate, Callable[[Sequence[float]], float]] = {
    "mean": fmean, "median": median, "min": min, "max": max
}  # fmt: skip


class MetricView(BaseModel):
    """How a metric is summed up and shown; a result keeps it, so that a report needs no package for it.

    Attributes:
        title: what tables call it.
        aggregate: what the scores of many sentences come to.
        aggregate: what the scores of many sentences come to.
        higher_is_better: whether more of it means that more was recovered.
        format: how a value is written, for `format`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    aggregate: Aggregate = "mean"
    higher_is_better: bool = True
    format: str = ".3g"

    @field_validator("format")
    @classmethod
    def _writes_a_number(cls, value: str) -> str:
        format(0.5, value)
        return value

    @property
    def heading(self) -> str:
        """The title, with what it is beside a mean, and an arrow where less means more recovered.

        >>> MetricView(title="length error", aggregate="max", higher_is_better=False).heading
        'length error, max ↓'
        """
        kind = "" if self.aggregate == "mean" else f", {self.aggregate}"
        return f"{self.title}{kind}{'' if self.higher_is_better else ' ↓'}"

    def text(self, value: float) -> str:
        """The value as it is shown.

        >>> MetricView(title="token match", format=".1%").text(0.5)
        '50.0%'
        """
        return format(value, self.format)

    def most(self, values: Sequence[float]) -> float:
        """Of several, the one that means that most was recovered."""
        return max(values) if self.higher_is_better else min(values)


@dataclass(frozen=True)
class Pair:
    """A sentence beside its recovery; special tokens are left out of both.

    Attributes:
        reference_ids: the true ids.
        recovered_ids: the recovered ids.
        reference: the true text.
        recovered: the recovered text.
    """

    reference_ids: Sequence[int]
    recovered_ids: Sequence[int]
    reference: str
    recovered: str


@dataclass(frozen=True)
class Metric:
    """A score of a recovered sentence; what it comes to over sentences stands in every result.

    Attributes:
        title: what tables call it.
        says: one line for people.
        compute: the score of one sentence, finite.
        aggregate: what the scores of many sentences come to.
        higher_is_better: whether more of it means that more was recovered.
        format: how a value is written, for `format`.
    """

    title: str
    says: str
    compute: Callable[[Pair], float]
    aggregate: Aggregate = "mean"
    higher_is_better: bool = True
    format: str = ".1%"

    @property
    def view(self) -> MetricView:
        """How it is summed up and shown."""
        return MetricView(
            title=self.title,
            aggregate=self.aggregate,
            higher_is_better=self.higher_is_better,
            format=self.format,
        )
