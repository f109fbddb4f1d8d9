"""The final call that every attack shares: checks, seeding, timing, restoring, verification."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import ClassVar, Generic, TypeVar, final

from pydantic import BaseModel

from textleak.attacks.reliability import reliability_warnings
from textleak.attacks.running import Run, carry_out, stop_warnings, untouched
from textleak.core.budget import Budget, Stop
from textleak.core.consistency import check_fits, check_lengths, check_within, workable
from textleak.core.events import Event, Finished, Iteration, OnEvent, Started
from textleak.core.reconstruction import Candidate, Reconstruction
from textleak.core.update import SharedUpdate
from textleak.core.verdict import Verdict
from textleak.defences import Defences
from textleak.evidence.factor import upright
from textleak.models.text_model import TextModel
from textleak.verdict.examiner import Examiner
from textleak.verdict.judge import judge

OptionsT = TypeVar("OptionsT", bound=BaseModel)


class Session(Run[Candidate, Event]):
    """One attack under way: its clock, its budget, events, and the best so far.

    Attributes:
        examiner: says whether a batch explains an update to rounding.
    """

    def __init__(
        self, model: TextModel, on_event: OnEvent | None, budget: Budget | None = None
    ) -> None:
        super().__init__(on_event, budget)
        self.model = model
        self.examiner = Examiner(model)

    def progress(
        self, candidate: Candidate, *, stage: str, iteration: int, total: int | None = None
    ) -> None:
        """Keep `candidate` as the best so far, and tell where the attack stands.

        Raises:
            BudgetSpent: the budget ends the attack here.
        """

        def event() -> Iteration:
            task = self.model.task
            token_ids = task.filled(candidate.batch)
            return Iteration(
                stage=stage,
                iteration=iteration,
                total=total,
                evaluations=self.evaluations,
                seconds=self.seconds,
                objective=candidate.objective,
                token_ids=token_ids,
                texts=[self.model.decode(ids) for ids in token_ids],
                labels=task.texts(self.model.tokenizer, task.rows(candidate.batch)),
            )

        self.keep(candidate, event)


class Attack(ABC, Generic[OptionsT]):
    """Recovers a private batch from the public model and one shared update.

    A subclass names its options and writes `run`; it never sees the truth.
    """

    name: ClassVar[str]
    options_class: ClassVar[type[BaseModel]]

    def __init__(self, options: OptionsT) -> None:
        self.options = options

    @final
    def __call__(
        self,
        model: TextModel,
        update: SharedUpdate,
        *,
        seed: int = 0,
        budget: Budget | None = None,
        on_event: OnEvent | None = None,
    ) -> Reconstruction:
        """Attack `update`; the model is left as it was found.

        Args:
            model: the public model.
            update: what the client shared.
            seed: seeds everything random in the attack.
            budget: what it may spend; at its end the best so far is handed back, marked as such.
            on_event: called with every event.

        Raises:
            UpdateError: the update does not fit the model.
            ConfigError: the update names a defence that is not known.
            BudgetError: the budget was spent before anything was found.
            KeyboardInterrupt: interrupted before anything was found.
        """
        check_fits(update, model.parameters)
        check_within(
            update.metadata,
            labels=model.label_count if model.task.bounded else None,
            longest=model.max_length,
        )
        positions = model.family.embeddings.positions
        check_lengths(
            update.metadata, None if positions is None else positions.of(update.gradients)
        )
        Defences.parse(update.metadata.defences)
        session = Session(model, on_event, budget)
        session.emit(Started(attack=self.name))
        candidate, verdict, stopped = carry_out(
            lambda: self.run(model, upright(model, workable(update)), session),
            lambda found: judge(model, update, found.batch, session.examiner),
            session,
            model.module,
            seed,
        )
        result = _reconstruction(self.name, session, candidate, verdict, stopped)
        with untouched(model.module):
            warnings = reliability_warnings(model, update, candidate.batch, verdict)
        result = replace(result, warnings=stop_warnings(stopped, budget) + warnings)
        session.emit(
            Finished(
                evaluations=result.evaluations,
                seconds=result.seconds,
                texts=result.texts,
                gradient_error=result.gradient_error,
                verified=result.verified,
                verdict=verdict.word,
                stopped=stopped,
                interrupted=result.interrupted,
            )
        )
        return result

    @abstractmethod
    def run(self, model: TextModel, update: SharedUpdate, session: Session) -> Candidate:
        """The algorithm: return the recovered batch, reporting through `session` on the way."""


def _reconstruction(
    name: str, session: Session, candidate: Candidate, verdict: Verdict, stopped: Stop | None
) -> Reconstruction:
    task = session.model.task
    token_ids = task.filled(candidate.batch)
    return Reconstruction(
        attack=name,
        candidate=candidate,
        token_ids=token_ids,
        texts=[session.model.decode(ids) for ids in token_ids],
        labels=task.rows(candidate.batch),
        evaluations=session.evaluations,
        seconds=session.seconds,
        gradient_error=verdict.error,
        verdict=verdict,
        stopped=stopped,
    )
