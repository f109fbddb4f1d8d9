"""How near a recovered batch's update is to the shared one, in units of rounding."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property

import torch
from torch import Tensor

from textleak.core.batch import TokenBatch
from textleak.core.update import SharedUpdate
from textleak.gradients import Agreement, agreement
from textleak.gradients.agreement import trimmed
from textleak.models.text_model import TextModel
from textleak.verdict.options import VerdictOptions
from textleak.verdict.recompute import Gradients, update_of
from textleak.verdict.rounding import Rounding, distance, in_double, rounding, shares
from textleak.verdict.weight_rounding import scale_under, weight_rounding


@dataclass(frozen=True)
class Explanation:
    """How near a recovered batch's update is to the shared one.

    Attributes:
        gradients: the recomputed update.
        check: its agreement with the shared one.
        units: of rounding; None where the agreement is too poor to look closer.
        distance: the residual in these units.
    """

    gradients: Gradients
    check: Agreement
    units: Rounding | None
    distance: float

    def holds(self, options: VerdictOptions) -> bool:
        """Whether the update is explained to rounding."""
        return self.units is not None and self.distance <= options.within


class Examiner:
    """Recomputes updates; keeps the last one and the model in double precision for the next question.

    Args:
        model: the public model, in evaluation mode and unchanged while this lives.
        options: the thresholds.
    """

    def __init__(self, model: TextModel, options: VerdictOptions | None = None) -> None:
        self.options = options or VerdictOptions()
        self._model = model
        self._last: tuple[SharedUpdate, TokenBatch, Gradients] | None = None

    def explains(self, update: SharedUpdate, batch: TokenBatch) -> bool:
        """Whether `batch` explains the update to rounding: the end of a search, not a verdict."""
        return self.explanation(update, batch).holds(self.options)

    def check(self, update: SharedUpdate, batch: TokenBatch) -> Agreement:
        """How well `batch`'s update agrees with the shared one, up to a factor."""
        return agreement(self._recomputed(update, batch), update.gradients)

    def explanation(self, update: SharedUpdate, batch: TokenBatch) -> Explanation:
        """Recompute `batch`'s update, and measure what it leaves of the shared one."""
        whole = self._recomputed(update, batch)
        own, shared = trimmed(whole, update.gradients)
        check = agreement(whole, update.gradients)
        found = Explanation(whole, check, None, math.inf)
        noise = weight_rounding(update, self._model.parameters, whole, check.scale)
        if not (check.near or noise) or check.scale == 0:
            return found
        checks = [check]
        if noise:
            checks.append(check._replace(scale=scale_under(own, shared, noise)))
        for relative in self._roundings(update, batch, whole):
            for one in checks:
                units = rounding(own, shared, relative, one.scale, noise)
                apart = distance(own, shared, units)
                if found.units is None or apart < found.distance:
                    found = replace(found, check=one, units=units, distance=apart)
            if found.holds(self.options):
                break
        return found

    def _recomputed(self, update: SharedUpdate, batch: TokenBatch) -> Gradients:
        if self._last is not None:
            asked, tried, gradients = self._last
            if _same_protocol(asked, update) and _same_batch(tried, batch):
                return gradients
        gradients = update_of(self._model, update, batch)
        self._last = (update, batch, gradients)
        return gradients

    def _roundings(
        self, update: SharedUpdate, batch: TokenBatch, whole: Gradients
    ) -> Iterator[dict[str, float]]:
        """The rounding of the longest sequence alone, which is cheap and mostly will do; of all."""
        double = replace(self._model, module=self._double)
        if update.metadata.defences:
            yield shares(whole, update_of(double, update, batch))
            return
        bearing = [row for row, bears in enumerate(batch.bearing) if bears]
        if len(batch.input_ids) > 1 and bearing:
            one = batch.take([max(bearing, key=batch.lengths.__getitem__)])
            few = _lighter(update, self.options.small)
            yield shares(update_of(self._model, few, one), update_of(double, few, one))
        yield shares(whole, update_of(double, _lighter(update, self.options.large), batch))

    @cached_property
    def _double(self) -> torch.nn.Module:
        return in_double(self._model.module, self.options.large)


def _lighter(update: SharedUpdate, most: int) -> SharedUpdate:
    """The update without tensors of more numbers, if any are left."""
    small = {name: g for name, g in update.gradients.items() if g.numel() <= most}
    return replace(update, gradients=small or update.gradients)


def _same_protocol(first: SharedUpdate, second: SharedUpdate) -> bool:
    """Whether a batch's recomputed update is the same for both."""
    same = first.metadata.defences == second.metadata.defences
    return same and list(first.gradients) == list(second.gradients)


def _same_batch(first: TokenBatch, second: TokenBatch) -> bool:
    def alike(one: object, other: object) -> bool:
        if isinstance(one, Tensor) and isinstance(other, Tensor):
            return torch.equal(one, other)
        return one is other or one == other

    return all(alike(getattr(first, f.name), getattr(second, f.name)) for f in fields(first))
