"""What an attacker recomputes from a recovered batch, to see whether the shared update comes out."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from textleak.core.batch import TokenBatch
from textleak.core.update import SharedUpdate, UpdateMetadata
from textleak.defences import Defences
from textleak.gradients import Agreement, agreement
from textleak.models.text_model import TextModel
from textleak.training import train
from textleak.training.step import Loss

Gradients = dict[str, Tensor]


def verify(model: TextModel, update: SharedUpdate, batch: TokenBatch) -> Agreement:
    """Recompute `batch`'s update and compare it with the shared one, over all shared tensors."""
    return agreement(update_of(model, update, batch), update.gradients)


def update_of(model: TextModel, update: SharedUpdate, batch: TokenBatch) -> Gradients:
    """What a client of `batch` would share where another shared `update`."""
    return recomputed(
        model.module,
        update,
        lambda rows: model.loss(batch.take(rows)),
        count=len(batch.input_ids),
    )


def recomputed(
    module: nn.Module, update: SharedUpdate, loss: Loss, *, count: int
) -> dict[str, Tensor]:
    """What a client would share of these examples, with the defences that the update names.

    Defences are public. Local steps, clipping, rounding and pruning are done to the recovered batch
    as the client did them, so that it is proven as without them; what is random (noise, dropout) is
    left out, and the difference that it makes counts as error. The defences' memory of earlier
    updates is not known either.

    Args:
        module: the public model.
        update: the shared update; its tensors and its metadata are looked at.
        loss: the mean training loss of the recovered examples with the given indices.
        count: how many were recovered.
    """
    defences = Defences.parse(update.metadata.defences).reproducible()
    plan = defences.plan([name for name, _ in module.named_parameters()]).without_chance()
    plan = replace(plan, names=tuple(update.gradients))
    gradients = train(module, plan, loss, count=count, seed=0)
    return dict(defences.protect(SharedUpdate(gradients, UpdateMetadata())).gradients)
