"""The verdict on a recovery under noise: a posterior, since no candidate explains noise to rounding.

*Unexplained*: what the recovery leaves of some tensor is more than its noise, with an error rarer than 1 in 1,000.
*Proven*: it fits, and every competitor tried is so much less likely that all N batches one change away, were each
as likely as the likeliest of them, would not together reach a thousandth of its probability: a margin of
ln 1000 + ln N nats. *Consistent*: it fits, and some competitor comes nearer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from textleak.core.batch import TokenBatch
from textleak.core.update import SharedUpdate
from textleak.core.verdict import PartVerdict, Verdict, joined
from textleak.defences import Defences
from textleak.gradients import agreement
from textleak.likelihood.competitors import Competitors
from textleak.likelihood.likelihoods import Likelihoods
from textleak.likelihood.margins import alone
from textleak.likelihood.options import MarginOptions
from textleak.likelihood.protocol import protocol_of
from textleak.likelihood.scoring import Parts
from textleak.models.text_model import TextModel
from textleak.verdict.neighbours import Neighbour, Neighbourhood, replaced
from textleak.verdict.recompute import update_of

MORE = "it leaves more than noise of the update"
NOTHING = "nothing was recovered"


@dataclass(frozen=True)
class PosteriorOptions:
    """When a recovery is proven under noise.

    Attributes:
        error: how often a proven one may be wrong, and a right one be called unexplained.
    """

    error: float = 1e-3


def under_noise(update: SharedUpdate, examples: int) -> float | None:
    """The deviation of an update's stated Gaussian noise, where likelihoods of batches are exact.

    None where there is none, where it is not Gaussian, or where more than noise was put on the gradient.
    """
    protocol = protocol_of(update, examples)
    if isinstance(protocol, str) or protocol.law is None or protocol.law.kind != "gaussian":
        return None
    repeated = Defences.parse(protocol.update.metadata.defences).reproducible()
    return protocol.law.std if protocol.linear and not repeated.specs else None


def judged(
    model: TextModel,
    update: SharedUpdate,
    batch: TokenBatch,
    std: float,
    options: PosteriorOptions | None = None,
) -> Verdict:
    """What a noisy update says of a recovered batch.

    Args:
        model: the public model, in evaluation mode.
        update: the shared update.
        batch: what was recovered.
        std: the deviation of its Gaussian noise.
        options: when it is proven.
    """
    chosen = options or PosteriorOptions()
    own = update_of(model, update, batch)
    check = agreement(own, update.gradients)
    likelihoods = Likelihoods(model, update, std)
    special = torch.tensor(sorted(set(model.tokenizer.all_special_ids)))
    words = torch.tensor([word for row in model.task.filled(batch) for word in row])
    if bool(torch.isin(words, special).all()):
        part = PartVerdict("unexplained", reason=NOTHING)
        return joined([part] * len(batch.input_ids), check.error, check.scale, None)
    if likelihoods.misfit_of(own) > -math.log(chosen.error):
        part = PartVerdict("unexplained", reason=MORE)
        return joined([part] * len(batch.input_ids), check.error, check.scale, None)
    here = float(likelihoods([batch])[0])
    parts = [
        _part(model, likelihoods, list(update.gradients), batch, row, here, chosen)
        for row in range(len(batch.input_ids))
    ]
    return joined(parts, check.error, check.scale, None)


def _part(
    model: TextModel,
    likelihoods: Likelihoods,
    names: Sequence[str],
    batch: TokenBatch,
    row: int,
    here: float,
    options: PosteriorOptions,
) -> PartVerdict:
    own = alone(batch, row)
    parts = Parts(model, names, batch)
    competitors = Competitors(model, MarginOptions())
    probes = parts.probes(own, [1.0] * len(parts.names), MarginOptions().probes)
    others = [*competitors.of(own, probes, row), *_labels(model, batch, probes, own, row)]
    pad = int(model.tokenizer.pad_token_id)
    nats = likelihoods([replaced(batch, other, pad) for other in others])
    needed = -math.log(options.error) + math.log(max(len(competitors.places(own)), 1))
    needed += math.log(len(model.tokenizer))
    failing = [one for one, n in zip(others, nats.tolist(), strict=True) if here - n < needed]
    if not failing:
        return PartVerdict("proven")
    places = tuple(sorted({place for one in failing for place in one.places}))
    kinds = ", ".join(dict.fromkeys(one.what for one in failing))
    where = f" at place {', '.join(map(str, places))}" if places else ""
    return PartVerdict("consistent", places, f"under this noise {kinds}{where} may stand instead")


def _labels(
    model: TextModel, batch: TokenBatch, probes: torch.Tensor, own: TokenBatch, row: int
) -> list[Neighbour]:
    """The sequence with another label."""
    found = Neighbourhood(model, own, probes.norm(dim=0)[None]).others(0)
    wanted = ("another class", "another word under the mask")
    return [Neighbour(row, one.batch, one.places, one.what) for one in found if one.what in wanted]
