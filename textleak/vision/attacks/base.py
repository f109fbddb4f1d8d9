"""The final call that every image attack shares; the text side's `carry_out` does the guarding."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Generic, TypeVar, final

from pydantic import BaseModel

from textleak.attacks.running import Run, carry_out, stop_warnings
from textleak.core.budget import Budget
from textleak.core.consistency import check_fits, check_within, workable
from textleak.core.events import Started
from textleak.core.update import SharedUpdate
from textleak.vision.attacks.counting import unsettled
from textleak.vision.attacks.verdict import judge_pictures
from textleak.vision.events import (
    ImageEvent,
    ImageFinished,
    ImageIteration,
    OnImageEvent,
    encode_images,
)
from textleak.vision.models.image_model import ImageModel
from textleak.vision.reconstruction import ImageCandidate, ImageReconstruction

OptionsT = TypeVar("OptionsT", bound=BaseModel)


class ImageSession(Run[ImageCandidate, ImageEvent]):
    """One attack under way: its clock, its budget, events, and the best so far."""

    def progress(
        self, candidate: ImageCandidate, *, stage: str, iteration: int, total: int | None = None
    ) -> None:
        """Keep `candidate` as the best so far, and tell where the attack stands.

        Raises:
            BudgetSpent: the budget ends the attack here.
        """
        self.keep(
            candidate,
            lambda: ImageIteration(
                stage=stage,
                iteration=iteration,
                total=total,
                evaluations=self.evaluations,
                seconds=self.seconds,
                objective=candidate.objective,
                images=encode_images(candidate.batch.pixels),
                labels=candidate.batch.classes,
            ),
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
        budget: Budget | None = None,
        on_event: OnImageEvent | None = None,
    ) -> ImageReconstruction:
        """Attack `update`; the model is left as it was found.

        Args:
            model: the public model.
            update: what the client shared.
            seed: seeds everything random in the attack.
            budget: what it may spend; at its end the best so far is handed back, marked as such.
            on_event: called with every event.

        Raises:
            UpdateError: the update does not fit the model.
            BudgetError: the budget was spent before anything was found.
            KeyboardInterrupt: interrupted before anything was found.
        """
        check_fits(update, model.parameters)
        check_within(update.metadata, labels=model.classes)
        session = ImageSession(on_event, budget)
        session.emit(Started(attack=self.name))
        candidate, verdict, stopped = carry_out(
            lambda: self.run(model, workable(update), session),
            lambda found: judge_pictures(model, update, found.batch),
            session,
            model.module,
            seed,
        )
        result = ImageReconstruction(
            attack=self.name,
            candidate=candidate,
            evaluations=session.evaluations,
            seconds=session.seconds,
            gradient_error=verdict.error,
            verdict=verdict,
            stopped=stopped,
            warnings=stop_warnings(stopped, budget)
            + model.warnings()
            + unsettled(model, update)
            + tuple(f"not proven: {reason}" for reason in verdict.reasons),
        )
        session.emit(
            ImageFinished(
                evaluations=result.evaluations,
                seconds=result.seconds,
                images=encode_images(candidate.batch.pixels) if session.watched else [],
                labels=candidate.batch.classes,
                gradient_error=result.gradient_error,
                verified=result.verified,
                verdict=verdict.word,
                stopped=stopped,
                interrupted=result.interrupted,
            )
        )
        return result

    @abstractmethod
    def run(self, model: ImageModel, update: SharedUpdate, session: ImageSession) -> ImageCandidate:
        """The algorithm: return the recovered batch, reporting through `session` on the way."""
