"""How much likelier a batch is than its competitors, under its protocol: what an update determines.

With noise of a known law the margin of a competitor is the divergence of the two updates' distributions, for
Gaussian noise of deviation σ |g_c - g|² / 2σ²: the mean over draws of the log-likelihood ratio.
On one draw the ratio scatters about it, by √(2 margin) for Gaussian noise. Without noise
rounding hides: the margin is then that of a Gaussian error of `VerdictOptions.within` units of rounding in
the tensor that shows the change best, (r / within)² / 2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from textleak.core.batch import IGNORED, TokenBatch
from textleak.core.update import SharedUpdate
from textleak.gradients.contrast import Inner
from textleak.likelihood.competitors import Competitors
from textleak.likelihood.options import MarginOptions
from textleak.likelihood.protocol import Protocol, protocol_of
from textleak.likelihood.scoring import Parts
from textleak.models.text_model import TextModel
from textleak.verdict.examiner import Examiner
from textleak.verdict.neighbours import Neighbour, replaced
from textleak.verdict.options import VerdictOptions
from textleak.verdict.recompute import update_of
from textleak.verdict.rounding import Rounding

UNEXPLAINED = "the true batch does not explain the update"


@dataclass(frozen=True)
class Margin:
    """How well one sequence is determined.

    Attributes:
        nats: the least margin of any competitor.
        places: the least of those that change a place, by place.
        competitor: the token ids of the nearest one.
        what: how it differs.
    """

    nats: float
    places: Mapping[int, float]
    competitor: tuple[int, ...] = ()
    what: str = ""


def margins(
    model: TextModel,
    update: SharedUpdate,
    batch: TokenBatch,
    found: Sequence[Neighbour] = (),
    options: MarginOptions | None = None,
) -> list[Margin] | str:
    """The margin of every sequence of `batch`; or why none can be given.

    Args:
        model: the public model, in evaluation mode.
        update: what was shared; looked at where rounding alone hides.
        batch: the true batch.
        found: further competitors, of any of the sequences.
        options: how many are looked at.
    """
    chosen = options or MarginOptions()
    protocol = protocol_of(update, len(batch.input_ids))
    if isinstance(protocol, str):
        return protocol
    ruler = _ruler(model, protocol, batch, chosen)
    if isinstance(ruler, str):
        return ruler
    return [
        _margin(ruler, Competitors(model, chosen), row, [one for one in found if one.row == row])
        for row in range(len(batch.input_ids))
    ]


def _margin(ruler: _Ruler, competitors: Competitors, row: int, found: list[Neighbour]) -> Margin:
    own = alone(ruler.batch, row)
    places = competitors.places(own)
    if own.by_token and not bool((own.labels != IGNORED).any()):
        return Margin(0.0, dict.fromkeys(places, 0.0), what="it leaves no trace in the update")
    probes = ruler.parts.probes(own, ruler.weights, ruler.options.probes)
    others = [*competitors.of(own, probes, row), *found]
    if not others:
        return Margin(math.inf, {})
    nats = ruler.nats(own, others)
    worst = min(range(len(others)), key=nats.__getitem__)
    by_place = {
        place: min(
            (n for n, one in zip(nats, others, strict=True) if place in one.places),
            default=math.inf,
        )
        for place in places
    }
    nearest = others[worst]
    ids = tuple(ruler.model.task.filled(nearest.batch)[0])
    return Margin(nats[worst], by_place, ids, nearest.what)


def alone(batch: TokenBatch, row: int) -> TokenBatch:
    """One sequence without its padding."""
    one, length = batch.take([row]), batch.lengths[row]
    labels = one.labels[:, :length] if one.by_token else one.labels
    return TokenBatch(one.input_ids[:, :length], one.attention_mask[:, :length], labels)


@dataclass(frozen=True)
class _Ruler:
    """Measures competitors of a batch's sequences in nats.

    Attributes:
        weights: a factor on each of the parts' tensors, for the estimate of what hides best.
        units: of rounding, where there is no noise.
        explained: the batch's own update, where it has been computed.
    """

    model: TextModel
    protocol: Protocol
    batch: TokenBatch
    options: MarginOptions
    parts: Parts
    weights: list[float]
    units: Rounding | None = None
    explained: Mapping[str, Tensor] | None = None

    @cached_property
    def gradients(self) -> Mapping[str, Tensor]:
        """The batch's own update, defences and all but noise."""
        return self.explained or update_of(self.model, self.protocol.update, self.batch)

    def nats(self, own: TokenBatch, others: Sequence[Neighbour]) -> list[float]:
        """The margin of each competitor: by inner products, recomputed where these will not do."""
        inner = self.parts.inner(own, [one.batch for one in others], self.options.at_once)
        quick, sure = self._quick(inner)
        found = quick.tolist()
        order = sorted(range(len(others)), key=found.__getitem__)
        wanted = [index for index in order if not sure[index]][: self.options.exact]
        for place in sorted({place for one in others for place in one.places}):
            first = next(index for index in order if place in others[index].places)
            if not sure[first]:
                wanted.append(first)
        for index in dict.fromkeys(wanted):
            found[index] = self._exactly(others[index])
        return found

    def _quick(self, inner: Inner) -> tuple[Tensor, list[bool]]:
        """Margins by inner products, (n,), and which of them hold without looking closer."""
        distances = inner.distances[:, 1:]  # (P, n)
        sizes = inner.squared[:, 1:] + inner.squared[:, :1]
        digits = self.options.digits * torch.finfo(torch.float32).eps
        if self.protocol.law is not None:
            nats = self.protocol.law.nats_of(distances.sum(0))
            exact = self.protocol.linear and self.protocol.law.kind == "gaussian"
            clear = distances.sum(0) > digits * sizes.sum(0)
            fine = clear | (self.protocol.law.nats_of(digits * sizes.sum(0)) < self.options.nats)
            return nats, (fine & exact).tolist()
        assert self.units is not None
        given = [self.units.units.get(name, 0.0) for name in self.parts.names]
        units = torch.tensor(given).double()
        heard = units > 0
        squares = distances[heard] / units[heard, None].square()
        best, at = squares.max(0)
        clear = (
            distances[heard].gather(0, at[None])[0] > digits * sizes[heard].gather(0, at[None])[0]
        )
        return _of_units(best.sqrt()), (clear & self.protocol.linear).tolist()

    def _exactly(self, other: Neighbour) -> float:
        """A competitor's margin by its whole update, defences and all."""
        pad = int(self.model.tokenizer.pad_token_id)
        theirs = update_of(self.model, self.protocol.update, replaced(self.batch, other, pad))
        change = {name: theirs[name].double() - g.double() for name, g in self.gradients.items()}
        if self.protocol.law is None:
            assert self.units is not None
            size = abs(self.units.scale)
            wrong = {name: size * float(moved.norm()) for name, moved in change.items()}
            return float(_of_units(torch.tensor(self.units.distance(wrong))))
        if self.protocol.kept is not None:
            change = {name: moved * self.protocol.kept[name] for name, moved in change.items()}
        return sum(self.protocol.law.nats(moved) for moved in change.values())


def _of_units(distance: Tensor) -> Tensor:
    return (distance / VerdictOptions().within).square() / 2


def _ruler(
    model: TextModel, protocol: Protocol, batch: TokenBatch, options: MarginOptions
) -> _Ruler | str:
    parts = Parts(model, list(protocol.update.gradients), batch)
    even = [1.0] * len(parts.names)
    if protocol.law is not None:
        return _Ruler(model, protocol, batch, options, parts, even)
    found = Examiner(model).explanation(protocol.update, batch)
    if found.units is None or not found.holds(VerdictOptions()):
        return UNEXPLAINED
    units = [found.units.units.get(name, 0.0) for name in parts.names]
    weights = [1 / unit if unit > 0 else 0.0 for unit in units]
    return _Ruler(model, protocol, batch, options, parts, weights, found.units, found.gradients)
