"""The final call that every attack shares: checks, seeding, timing, restoring, verification."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar, final

from pydantic import BaseModel

from textleak.attacks.modality import TextModality
from textleak.attacks.running import BaseSession, carry_out, stop_warnings, untouched
from textleak.core.budget import Budget
from textleak.core.events import OnEvent, Started
from textleak.core.modality import CandidateT, Modality, ModelT, ReconstructionT
from textleak.core.reconstruction import Candidate, TextReconstruction
from textleak.core.update import SharedUpdate
from textleak.defences import Defences
from textleak.models.text_model import TextModel

OptionsT = TypeVar("OptionsT", bound=BaseModel)
Session: TypeAlias = BaseSession[TextModel, Candidate]


class BaseAttack(ABC, Generic[OptionsT, ModelT, CandidateT, ReconstructionT]):
    """Recovers a private batch from the public model and one shared update.

    A subclass names its options and writes `run`; it never sees the truth. What kind of data it
    recovers is its `modality`: those of text derive from `Attack`, those of images from `ImageAttack`.
    """

    name: ClassVar[str]
    options_class: ClassVar[type[BaseModel]]
    modality: ClassVar[type[Modality[Any, Any, Any]]]

    def __init__(self, options: OptionsT) -> None:
        self.options = options

    @final
    def __call__(
        self,
        model: ModelT,
        update: SharedUpdate,
        *,
        seed: int = 0,
        budget: Budget | None = None,
        on_event: OnEvent | None = None,
    ) -> ReconstructionT:
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
        modality: Modality[ModelT, CandidateT, ReconstructionT] = self.modality(model)
        modality.check(update)
        Defences.parse(update.metadata.defences)
        session = BaseSession(modality, on_event, budget)
        session.emit(Started(attack=self.name))
        candidate, verdict, stopped = carry_out(
            lambda: self._found(model, modality.prepared(update), session),
            lambda found: modality.judge(update, found),
            session,
            modality.module,
            seed,
        )
        cost: dict[str, Any] = dict(evaluations=session.evaluations, seconds=session.seconds)
        facts = dict(gradient_error=verdict.error, verdict=verdict, stopped=stopped)
        result = modality.reconstruction(candidate, {"attack": self.name, **cost, **facts})
        with untouched(modality.module):
            warnings = modality.warnings(update, candidate, verdict)
        result = replace(result, warnings=stop_warnings(stopped, budget) + warnings)
        said = dict(verified=result.verified, verdict=verdict.word, interrupted=result.interrupted)
        if session.watched:
            session.emit(modality.end(result, {**cost, **facts, **said}))
        return result

    def _found(
        self, model: ModelT, update: SharedUpdate, session: BaseSession[ModelT, CandidateT]
    ) -> CandidateT:
        """What `run` finds, told once at least."""
        found = self.run(model, update, session)
        if not session.told:
            session.progress(found, stage=self.name, iteration=1, total=1)
        return found

    @abstractmethod
    def run(
        self, model: ModelT, update: SharedUpdate, session: BaseSession[ModelT, CandidateT]
    ) -> CandidateT:
        """The algorithm: return the recovered batch, reporting through `session` on the way."""


class Attack(BaseAttack[OptionsT, TextModel, Candidate, TextReconstruction], Generic[OptionsT]):
    """An attack that recovers text."""

    modality: ClassVar[type[Modality[Any, Any, Any]]] = TextModality
