"""How far a neighbour's update lies from the recovered batch's: a quick bound, and the whole of it.

A loss that is a mean over sequences changes by one sequence's part only. The quick bound compares that
part in a few layers; the factor of the update is free for every neighbour. What a defence did to the
update is bounded by the triangle inequality: at least the change less twice what the defence changed.
Neighbours that the bound leaves open are recomputed as a client would, defences and all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from textleak.core.batch import TokenBatch
from textleak.core.update import SharedUpdate
from textleak.models.text_model import TextModel
from textleak.verdict.neighbours import Neighbour, replaced, stacked
from textleak.verdict.options import VerdictOptions
from textleak.verdict.recompute import update_of
from textleak.verdict.rounding import Rounding
from textleak.verdict.witnesses import Parts, sequence_parts, witnesses


@dataclass(frozen=True)
class Own:
    """The recovered batch: its update, units, and each sequence's part in the witnesses."""

    model: TextModel
    update: SharedUpdate
    batch: TokenBatch
    gradients: Mapping[str, Tensor]
    units: Rounding
    names: list[str]
    parts: Parts
    share: float


def own_parts(
    model: TextModel,
    update: SharedUpdate,
    batch: TokenBatch,
    gradients: Mapping[str, Tensor],
    units: Rounding,
    options: VerdictOptions,
) -> Own:
    """Look at the recovered batch sequence by sequence."""
    names = witnesses(model, list(update.gradients), options.witnesses, options.small)
    share = 1 / max(batch.items, 1)
    parts = sequence_parts(model, batch, names, share, words=True)
    return Own(model, update, batch, gradients, units, names, parts, share)


class Contrast:
    """Measures neighbours of a recovered batch, in units of rounding.

    Args:
        own: the recovered batch.
        pad: the id of [PAD].
    """

    def __init__(self, own: Own, pad: int) -> None:
        self._own, self._pad = own, pad
        self._names: list[str] = []
        self._tensors: list[tuple[Tensor, Tensor, float, float]] = []
        parts = {name: own.parts.of(name) for name in own.names}  # (B, ...)
        self._factor = _fitted(own.gradients, {name: part.sum(0) for name, part in parts.items()})
        for name, part in parts.items():
            part = self._factor * part
            whole = part.sum(0)
            unit = own.units.units[name] / abs(own.units.scale)
            if unit == 0 or not bool(whole.any()):
                continue
            hidden = own.gradients[name].to(whole).sub(whole)
            self._names.append(name)
            self._tensors.append((part, whole, unit, float(hidden.norm()) / unit))

    def traces(self) -> list[float]:
        """How far the batch without each sequence lies; (B,) lower bounds."""
        rows = range(len(self._own.batch.input_ids))
        return self._distances((-parts for parts, *_ in self._tensors), len(rows))

    def twins(self) -> list[tuple[int, int, float]]:
        """For sequences i and j that differ, how far the batch with j in i's place lies."""
        rows = [
            tuple(ids) + (tuple(label) if isinstance(label, list) else (label,))
            for ids, label in zip(
                self._own.batch.rows(), self._own.batch.labels.tolist(), strict=True
            )
        ]
        pairs = [
            (i, j) for i, one in enumerate(rows) for j, other in enumerate(rows) if one != other
        ]
        if not pairs:
            return []
        first, second = (torch.tensor(column) for column in zip(*pairs, strict=True))
        changes = (parts[second] - parts[first] for parts, *_ in self._tensors)
        found = self._distances(changes, len(pairs))
        return [(i, j, r) for (i, j), r in zip(pairs, found, strict=True)]

    def bounds(self, neighbours: Sequence[Neighbour]) -> list[float]:
        """Lower bounds of the neighbours' distances."""
        own = self._own
        if not neighbours or not self._tensors:
            return [0.0] * len(neighbours)
        batch = stacked([one.batch for one in neighbours], self._pad)
        found = sequence_parts(own.model, batch, own.names, own.share)
        rows = [one.row for one in neighbours]
        changes = (
            self._factor * found.of(name) - parts[rows]
            for name, (parts, *_) in zip(self._names, self._tensors, strict=True)
        )
        return self._distances(changes, len(rows))

    def exactly(self, neighbour: Neighbour) -> float:
        """A neighbour's distance by its whole update, the factor fitted anew."""
        own = self._own
        batch = replaced(own.batch, neighbour, self._pad)
        other = update_of(own.model, own.update, batch)
        above = below = 0.0
        for name, unit in own.units.units.items():
            if unit > 0:
                mine, its = own.gradients[name].double(), other[name].double()
                above += float((mine * its).sum()) / unit**2
                below += float(its.square().sum()) / unit**2
        factor = above / below if below > 0 else 0.0
        scale = abs(own.units.scale)
        wrong = {
            name: scale
            * float((own.gradients[name].double() - factor * other[name].double()).norm())
            for name in own.units.units
        }
        return own.units.distance(wrong)

    def _distances(self, changes: Iterable[Tensor], count: int) -> list[float]:
        """Min over k of the largest ||g - k (g + D)|| less what defences hide; each D is (n, ...)."""
        squares, dots, own, hidden = [], [], [], []
        for change, (_, whole, unit, lost) in zip(changes, self._tensors, strict=True):
            flat, g = change.flatten(1), whole.flatten()
            squares.append((flat.norm(dim=1).double() / unit).square())
            dots.append((flat @ g).double() / unit**2)
            own.append((g.norm().double() / unit).square())
            hidden.append(2 * lost)
        if not squares:
            return [0.0] * count
        b, a, g = torch.stack(squares), torch.stack(dots), torch.stack(own)[:, None]  # (P, n)
        top, bottom = (g + a).sum(0), (g + b + 2 * a).sum(0)
        k = torch.where(bottom > 1e-12 * g.sum(), top / bottom.clamp_min(1e-300), 0.0)
        left = (1 - k).square() * g + k.square() * b - 2 * (1 - k) * k * a
        bound = left.clamp_min(0).sqrt() - torch.tensor(hidden).double()[:, None]
        worst = bound.max(0).values
        return [r if math.isfinite(r) else 0.0 for r in worst.tolist()]


def _fitted(gradients: Mapping[str, Tensor], parts: Mapping[str, Tensor]) -> float:
    """The factor of a whole update on its sequences' sums: below one where it was clipped."""
    above = sum(float((gradients[name].to(part) * part).sum()) for name, part in parts.items())
    below = sum(float(part.square().sum()) for part in parts.values())
    return above / below if below > 0 and above > 0 else 1.0
