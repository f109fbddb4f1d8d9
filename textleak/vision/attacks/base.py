"""The final call that every image attack shares; the text side's `carry_out` does the guarding."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from itertools import pairwise
from typing import ClassVar, Generic, TypeVar, final

from pydantic import BaseModel
from torch import Tensor

from textleak.attacks.running import Run, carry_out
from textleak.consistency import check_fits, check_within, workable
from textleak.events import Started
from textleak.gradients import Agreement, agreement, parameter_gradients
from textleak.update import SharedUpdate
from textleak.verdict.recompute import recomputed
from textleak.vision.attacks.counting import unsettled
from textleak.vision.batch import ImageBatch
from textleak.vision.events import (
    ImageEvent,
    ImageFinished,
    ImageIteration,
    OnImageEvent,
    encode_images,
)
from textleak.vision.models.image_model import ImageModel
from textleak.vision.reconstruction import ImageCandidate, ImageReconstruction

# Relative errors of the worst tensor, and over all tensors for each picture's share. A deep network's large tensors hardly see the
# picture: on ResNet-20 a recovery of 17 dB is within 3e-5 over all, and beyond 1e-3 in some tensor.
VERIFIED = 1e-3
SWAPPED = 1e-2  # of the gradient's change by swapped halves of two pictures

OptionsT = TypeVar("OptionsT", bound=BaseModel)


class ImageSession(Run[ImageCandidate, ImageEvent]):
    """One attack under way: the clock, the count of evaluations, events, and the best so far."""

    def progress(
        self, candidate: ImageCandidate, *, stage: str, iteration: int, total: int | None = None
    ) -> None:
        """Keep `candidate` as the best so far, and tell where the attack stands."""
        self.best = candidate
        if self.watched:
            self.emit(
                ImageIteration(
                    stage=stage,
                    iteration=iteration,
                    total=total,
                    evaluations=self.evaluations,
                    seconds=self.seconds,
                    objective=candidate.objective,
                    images=encode_images(candidate.batch.pixels),
                    labels=candidate.batch.classes,
                )
            )


class ImageAttack(ABC, Generic[OptionsT]):
    """Recovers private images from the public model and one shared update.

    A subclass names its options and writes `run`; it never sees the truth.
    """

    name: ClassVar[str]
    options_class: ClassVar[type[BaseModel]]

    def __init__(self, options: OptionsT) -> None:
        self.options = options

    @final
    def __call__(
        self,
        model: ImageModel,
        update: SharedUpdate,
        *,
        seed: int = 0,
        on_event: OnImageEvent | None = None,
    ) -> ImageReconstruction:
        """Attack `update`; the model is left as it was found.

        Args:
            model: the public model.
            update: what the client shared.
            seed: seeds everything random in the attack.
            on_event: called with every event.

        Raises:
            UpdateError: the update does not fit the model.
            KeyboardInterrupt: interrupted before anything was found.
        """
        check_fits(update, model.parameters)
        check_within(update.metadata, labels=model.classes)
        session = ImageSession(on_event)
        session.emit(Started(attack=self.name))
        candidate, check, interrupted = carry_out(
            lambda: self.run(model, workable(update), session),
            lambda found: verify(model, update, found.batch),
            session,
            model.module,
            seed,
        )
        result = ImageReconstruction(
            attack=self.name,
            candidate=candidate,
            evaluations=session.evaluations,
            seconds=session.seconds,
            gradient_error=check.error,
            verified=check.worst < VERIFIED and told_apart(model, candidate.batch, check.error),
            interrupted=interrupted,
            warnings=model.warnings() + unsettled(model, update),
        )
        session.emit(
            ImageFinished(
                evaluations=result.evaluations,
                seconds=result.seconds,
                images=encode_images(candidate.batch.pixels) if session.watched else [],
                labels=candidate.batch.classes,
                gradient_error=result.gradient_error,
                verified=result.verified,
                interrupted=interrupted,
            )
        )
        return result

    @abstractmethod
    def run(self, model: ImageModel, update: SharedUpdate, session: ImageSession) -> ImageCandidate:
        """The algorithm: return the recovered batch, reporting through `session` on the way."""


def verify(model: ImageModel, update: SharedUpdate, batch: ImageBatch) -> Agreement:
    """Recompute `batch`'s update and compare it with the shared one, over all shared tensors."""
    again = recomputed(
        model.module,
        update,
        lambda rows: model.loss(batch.take(rows)),
        count=len(batch.pixels),
    )
    return agreement(again, update.gradients)


def told_apart(model: ImageModel, batch: ImageBatch, error: float) -> bool:
    """Whether a relative gradient error is small beside what a wrong picture in `batch` would make.

    A picture whose class the model is sure of has hardly a gradient: that of the batch agrees
    whatever stands in its place. And where two pictures of one class make nearly the same output
    gradient, that of the batch agrees although their halves are swapped.
    """
    count = len(batch.pixels)
    if count == 1:
        return True
    whole = _gradients(model, batch)
    size = _norm(whole)
    shares = [_norm(_gradients(model, batch.take([row]))) / count for row in range(count)]
    if error * size >= VERIFIED * min(shares):
        return False
    order = sorted(range(count), key=lambda row: batch.classes[row])
    swaps = (_gradients(model, _swapped(batch, *pair)) for pair in pairwise(order))
    return all(
        error * size < SWAPPED * _norm({name: g - whole[name] for name, g in swap.items()})
        for swap in swaps
    )


def _swapped(batch: ImageBatch, first: int, second: int) -> ImageBatch:
    """`batch` with the upper halves of two pictures swapped."""
    pixels = batch.pixels.clone()
    half = pixels.shape[2] // 2
    pixels[[first, second], :, :half] = batch.pixels[[second, first], :, :half]
    return ImageBatch(pixels, batch.labels)


def _gradients(model: ImageModel, batch: ImageBatch) -> dict[str, Tensor]:
    return parameter_gradients(model.module, model.loss(batch), model.parameters)


def _norm(gradients: Mapping[str, Tensor]) -> float:
    return math.sqrt(squared_norm(gradients))


def squared_norm(gradients: Mapping[str, Tensor]) -> float:
    """The squared norm of all gradients together: the L2 distance of a zero gradient."""
    return float(sum(gradient.double().square().sum() for gradient in gradients.values()))
