"""From what was saved to the update that it is, with the public model beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from textleak.core.consistency import check_fits, holds_weights
from textleak.core.errors import UpdateError
from textleak.core.update import SharedUpdate, UpdateMetadata
from textleak.updates.first_step import first_adam_step
from textleak.updates.names import Mapped, in_order, mapped
from textleak.updates.optimizer import named_moments
from textleak.updates.stored import Stored

Kind = Literal["gradient", "weight delta"]


class Public(Protocol):
    """What an update is held against: the public model, whatever it is of."""

    @property
    def module(self) -> nn.Module:
        """Its module."""

    @property
    def parameters(self) -> Mapping[str, nn.Parameter]:
        """Its trainable parameters by name."""


@dataclass(frozen=True)
class Fitted:
    """An update under the model's names, and what was done to have it.

    Attributes:
        update: what an attack takes.
        kind: what its numbers are.
        notes: a line for each thing that was done.
    """

    update: SharedUpdate
    kind: Kind
    notes: tuple[str, ...] = ()


def fitted(stored: Stored, model: Public) -> Fitted:
    """The update in a file: its gradients, or the model's weights less those in the file.

    Raises:
        UpdateError: it does not fit the model, or holds the model's own weights.
    """
    found = _named(stored, model.module)
    notes: tuple[str, ...] = (found.note,) if found.note else ()
    weights, extra = _weights_among(found, model)
    if weights is None:
        update = SharedUpdate(found.tensors, stored.metadata)
        check_fits(update, model.parameters)
        if stored.metadata.weights_kept is not None:
            facts, more = _recognised(found.tensors, stored.metadata, model.parameters)
            return Fitted(SharedUpdate(found.tensors, facts), "weight delta", (*notes, *more))
        kind: Kind = "gradient" if stored.metadata.local is None else "weight delta"
        return Fitted(update, kind, notes)
    delta = _difference(model.parameters, weights)
    if not delta:
        raise UpdateError(
            "the file holds the model's weights, not an update: expected gradients, or weights "
            "after training"
        )
    notes += (*extra, f"{stored.source!r} holds weights: the update is the model's less these")
    return _delta(delta, stored.metadata, model.parameters, weights, notes)


def between(before: Stored | None, after: Stored, model: Public) -> Fitted:
    """The update between two checkpoints: weights before less weights after.

    Args:
        before: the weights that the training began with; the model's own where None.
        after: those that it ended with.
        model: the model at the start of the training.

    Raises:
        UpdateError: one does not fit the model, the first is not the model's, or they are the same.
    """
    ended, notes = _weights(after, model, "after")
    start: Mapping[str, Tensor] = model.parameters
    if before is not None:
        start, more = _weights(before, model, "before")
        notes += more
        other = next((n for n, w in start.items() if not _equal(w, model.parameters[n])), None)
        if other is not None:
            raise UpdateError(
                f"the weights before are not the model's (at {other!r}): give --model "
                f"{before.source}, or a model with these weights"
            )
    shared = {name: weight for name, weight in ended.items() if name in start}
    delta = _difference(start, shared)
    if not delta:
        raise UpdateError("the weights before and after are the same: nothing was trained")
    return _delta(delta, after.metadata, start, shared, notes)


def _weights(
    stored: Stored, model: Public, which: str
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The weights in a checkpoint, and what is said of how they were found."""
    found = _named(stored, model.module)
    weights, extra = _weights_among(found, model)
    if weights is None:
        check_fits(SharedUpdate(found.tensors, UpdateMetadata()), model.parameters)
        raise UpdateError(f"{stored.source!r} does not hold the model's weights, or changed ones")
    notes = (found.note, *extra) if found.note else extra
    return weights, tuple(f"{which}: {note}" for note in notes)


def _weights_among(
    found: Mapped, model: Public
) -> tuple[dict[str, Tensor] | None, tuple[str, ...]]:
    """The weights that are the model's or changed ones, and a note on others; None where none are."""
    own = {
        name: tensor
        for name, tensor in found.tensors.items()
        if name in model.parameters and tensor.shape == model.parameters[name].shape
    }
    wrong = [name for name in found.tensors if name not in own]
    if any(name in model.parameters for name in wrong) or not own:
        return None, ()
    update = SharedUpdate(own, UpdateMetadata())
    check_fits(update, model.parameters)
    if not holds_weights(update, model.parameters):
        return None, ()
    extra = f"{len(wrong)} tensors of another head left out (first: {wrong[0]})" if wrong else ""
    return own, (extra,) if extra else ()


def _named(stored: Stored, module: nn.Module) -> Mapped:
    if stored.optimizer is not None:
        moments = named_moments(stored.optimizer, module, stored.source)
        return Mapped(moments, stored.optimizer.said)
    if stored.arrays:
        return in_order(stored.arrays, module, stored.source)
    return mapped(stored.tensors, module, stored.source)


def _difference(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Before less after, of what moved at all; a difference of neighbouring numbers is exact."""
    found = {}
    for name, weight in after.items():
        old = before[name].detach().to("cpu")
        if old.dtype != weight.dtype:
            old, weight = old.double(), weight.double()
        if not torch.equal(old, weight):
            found[name] = (old - weight).to(torch.promote_types(torch.float32, weight.dtype))
    return found


def _delta(
    delta: dict[str, Tensor],
    facts: UpdateMetadata,
    before: Mapping[str, Tensor],
    after: Mapping[str, Tensor],
    notes: tuple[str, ...],
) -> Fitted:
    still = len(after) - len(delta)
    if still:
        notes += (f"{still} of {len(after)} tensors did not move: taken to be frozen, left out",)
    coarsest = min((weight.dtype for weight in after.values()), key=lambda dtype: dtype.itemsize)
    kept = str(coarsest).removeprefix("torch.")
    told = facts.model_copy(update={"weights_kept": kept})
    told, more = _recognised(delta, told, before)
    return Fitted(SharedUpdate(delta, told), "weight delta", (*notes, *more))


def _recognised(
    delta: Mapping[str, Tensor], facts: UpdateMetadata, before: Mapping[str, Tensor]
) -> tuple[UpdateMetadata, tuple[str, ...]]:
    """The facts with a first step of Adam, where the delta is one and nothing else is said; a note on it."""
    step = None if facts.defences or facts.local else first_adam_step(delta, before)
    if step is None:
        return facts, ()
    spec = f"fedavg:steps=1,rate={step.rate},optimizer=adamw"
    spec += f",weight_decay={step.weight_decay}" if step.weight_decay else ""
    note = f"most weights moved by {step.rate:g}: taken for AdamW's first step ({spec})"
    return facts.model_copy(update={"defences": (spec,)}), (note,)


def _equal(first: Tensor, second: Tensor) -> bool:
    """Whether two copies of a weight are the same, in the coarser precision of the two."""
    coarse = min(first.dtype, second.dtype, key=lambda dtype: dtype.itemsize)
    return bool(torch.equal(first.to(coarse).cpu(), second.detach().to(coarse).cpu()))
