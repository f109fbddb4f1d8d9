"""What a metric is: how it is computed, which way is better, how it is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


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
    """A score of a recovered sentence; its mean over sentences stands in every result.

    Attributes:
        title: what tables call it.
        says: one line for people.
        compute: the score of one sentence, finite.
        higher_is_better: whether more of it means that more was recovered.
        format: how a value is written, for `format`.
    """

    title: str
    says: str
    compute: Callable[[Pair], float]
    higher_is_better: bool = True
    format: str = ".1%"

    def text(self, value: float) -> str:
        """The value as it is shown.

        >>> Metric("token match", "", lambda pair: 1.0).text(0.5)
        '50.0%'
        """
        return format(value, self.format)
