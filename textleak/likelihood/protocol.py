"""What a protocol does to a gradient: what can be repeated, and the law of what cannot."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from textleak.core.noise import NoiseLaw
from textleak.core.update import SharedUpdate
from textleak.defences import Defences

DROPOUT = "the client's dropout is not known"


@dataclass(frozen=True)
class Protocol:
    """How an update came about, as far as it is public.

    Attributes:
        update: the update as a candidate's is recomputed for comparison: up to its last noise.
        law: that of the noise; None where there is none and rounding alone hides.
        linear: each sequence adds its own part, whatever the others are.
        kept: which entries were let through after the noise, by tensor; None is all of them.
    """

    update: SharedUpdate
    law: NoiseLaw | None
    linear: bool
    kept: Mapping[str, Tensor] | None = None


def protocol_of(update: SharedUpdate, examples: int) -> Protocol | str:
    """The protocol behind `update` of so many examples, or why nothing can be said of it."""
    if update.metadata.threat_model.dropout:
        return DROPOUT
    defences = Defences.parse(update.metadata.defences)
    law: NoiseLaw | None = None
    for defence in defences.training:
        own = defence.noise(examples)
        if own is not None:
            steps = update.metadata.local.steps if update.metadata.local else 1
            law = NoiseLaw(own.kind, own.std / math.sqrt(steps)).and_also(law)
    last = -1
    for index, after in enumerate(defences.update):
        own = after.noise(examples)
        if own is not None:
            law, last = own.and_also(law), index
    end = len(defences.update) if law is None else last + 1
    repeated = Defences(defences.training, defences.update[:end])
    kept = None
    if end < len(defences.update):  # noise is never zero: what is zero was dropped behind it
        kept = {name: g != 0 for name, g in update.gradients.items()}
    metadata = update.metadata.model_copy(update={"defences": repeated.specs})
    return Protocol(
        replace(update, metadata=metadata),
        law,
        linear=kept is None and all(defence.linear for defence in repeated.all),
        kept=kept,
    )
