"""The verdict on recovered pictures, whose brightnesses are no words: near is not equal.

A search over brightnesses ends near the true pictures, not at them, and its update near the shared one.
So the agreement asked for is a tolerance, and what is contrasted are changes that an eye would see.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from textleak.core.update import SharedUpdate
from textleak.core.verdict import PartVerdict, Verdict, alike, joined
from textleak.gradients import Agreement, agreement, parameter_gradients
from textleak.verdict.judge import ZERO
from textleak.verdict.recompute import recomputed
from textleak.vision.attacks.counting import unsettled
from textleak.vision.batch import ImageBatch
from textleak.vision.models.image_model import ImageModel

FEW = "the gradient holds fewer independent numbers than the pictures have brightnesses"
FAINT = "its share of the gradient is as small as the error"
SWAPPED = "with another picture's half it explains the update as well"


@dataclass(frozen=True)
class PictureTolerance:
    """How near pictures' gradients must come.

    Attributes:
        worst: the relative error of the worst tensor, and of all tensors beside each picture's
            share. A deep network's large tensors hardly see the picture: on ResNet-20 a recovery of
            17 dB is within 3e-5 over all, and beyond 1e-3 in some tensor.
        swapped: the error beside the gradient's change by swapped halves of two pictures.
    """

    worst: float = 1e-3
    swapped: float = 1e-2


def verify(model: ImageModel, update: SharedUpdate, batch: ImageBatch) -> Agreement:
    """Recompute `batch`'s update and compare it with the shared one, over all shared tensors."""
    again = recomputed(
        model.module,
        update,
        lambda rows: model.loss(batch.take(rows)),
        count=len(batch.pixels),
    )
    return agreement(again, update.gradients)


def judge_pictures(
    model: ImageModel,
    update: SharedUpdate,
    batch: ImageBatch,
    tolerance: PictureTolerance | None = None,
) -> Verdict:
    """What `update` says of recovered pictures."""
    chosen = tolerance or PictureTolerance()
    count = len(batch.pixels)
    check = verify(model, update, batch)
    if not any(bool(gradient.any()) for gradient in update.gradients.values()):
        word = "consistent" if check.error == 0 else "unexplained"
        return alike(word, count, check.error, ZERO, scale=check.scale)  # type: ignore[arg-type]
    if not check.worst < chosen.worst or check.scale == 0:
        return alike("unexplained", count, check.error, "", scale=check.scale)
    if unsettled(model, update):
        return alike("consistent", count, check.error, FEW, scale=check.scale)
    reasons = doubts(model, update, batch, check.error, chosen)
    parts = [PartVerdict("consistent" if why else "proven", reason=why) for why in reasons]
    return joined(parts, check.error, check.scale, None)


def doubts(
    model: ImageModel,
    update: SharedUpdate,
    batch: ImageBatch,
    error: float,
    tolerance: PictureTolerance | None = None,
) -> list[str]:
    """Why a relative gradient error does not settle each picture in `batch`; empty where it does.

    A picture whose class the model is sure of has hardly a gradient: that of the batch agrees
    whatever stands in its place. And where two pictures of one class make nearly the same output
    gradient, that of the batch agrees although their halves are swapped.
    """
    chosen = tolerance or PictureTolerance()
    count = len(batch.pixels)
    reasons = [""] * count
    if count == 1:
        return reasons
    names = list(update.gradients)
    whole = _gradients(model, batch, names)
    left = error * _norm(whole)
    for row in range(count):
        share = _norm(_gradients(model, batch.take([row]), names)) / count
        if left >= chosen.worst * share:
            reasons[row] = FAINT
    order = sorted(range(count), key=lambda row: batch.classes[row])
    for pair in pairwise(order):
        swap = _gradients(model, _swapped(batch, *pair), names)
        change = _norm({name: g - whole[name] for name, g in swap.items()})
        if left >= chosen.swapped * change:
            for row in pair:
                reasons[row] = reasons[row] or SWAPPED
    return reasons


def _swapped(batch: ImageBatch, first: int, second: int) -> ImageBatch:
    """`batch` with the upper halves of two pictures swapped."""
    pixels = batch.pixels.clone()
    half = pixels.shape[2] // 2
    pixels[[first, second], :, :half] = batch.pixels[[second, first], :, :half]
    return ImageBatch(pixels, batch.labels)


def _gradients(model: ImageModel, batch: ImageBatch, names: list[str]) -> dict[str, Tensor]:
    return parameter_gradients(model.module, model.loss(batch), names)


def _norm(gradients: Mapping[str, Tensor]) -> float:
    return math.sqrt(squared_norm(gradients))


def squared_norm(gradients: Mapping[str, Tensor]) -> float:
    """The squared norm of all gradients together: the L2 distance of a zero gradient."""
    return float(sum(gradient.double().square().sum() for gradient in gradients.values()))
