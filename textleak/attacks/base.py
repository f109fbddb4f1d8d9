"""The final call that every attack shares: checks, seeding, timing, restoring, verification."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Generic, TypeVar, final

import torch
from pydantic import BaseModel
from torch import nn

from textleak.events import Event, Finished, Iteration, OnEvent, Started
from textleak.gradients import parameter_gradients, relative_error
from textleak.models.batch import IGNORED, TokenBatch
from textleak.models.text_model import TextModel
from textleak.reconstruction import Candidate, Reconstruction
from textleak.update import SharedUpdate, check_fits

VERIFIED = 1e-3  # a wrong word gives errors a hundred times this; rounding stays well below

OptionsT = TypeVar("OptionsT", bound=BaseModel)


class Session:
    """One attack under way: the clock, the count of evaluations, events, and the best so far."""

    def __init__(self, model: TextModel, on_event: OnEvent | None) -> None:
        self.model = model
        self.evaluations = 0
        self.best: Candidate | None = None
        self._on_event = on_event
        self._started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Wall-clock time since the start."""
        return time.perf_counter() - self._started

    def emit(self, event: Event) -> None:
        """Pass an event on to whoever watches."""
        if self._on_event is not None:
            self._on_event(event)

    def progress(
        self, candidate: Candidate, *, stage: str, iteration: int, total: int | None = None
    ) -> None:
        """Keep `candidate` as the best so far, and tell where the attack stands."""
        self.best = candidate
        token_ids = candidate.batch.filled()
        self.emit(
            Iteration(
                stage=stage,
                iteration=iteration,
                total=total,
                evaluations=self.evaluations,
                seconds=self.seconds,
                objective=candidate.objective,
                token_ids=token_ids,
                texts=[self.model.decode(ids) for ids in token_ids],
                labels=label_texts(self.model, candidate.batch),
            )
        )


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
        on_event: OnEvent | None = None,
    ) -> Reconstruction:
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
        session = Session(model, on_event)
        session.emit(Started(attack=self.name))
        interrupted = False
        with _untouched(model.module), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                candidate = self.run(model, update, session)
            except KeyboardInterrupt:
                if session.best is None:
                    raise
                candidate, interrupted = session.best, True
            error = verify(model, update, candidate.batch)
        result = _reconstruction(self.name, session, candidate, error, interrupted)
        session.emit(
            Finished(
                evaluations=result.evaluations,
                seconds=result.seconds,
                texts=result.texts,
                gradient_error=result.gradient_error,
                verified=result.verified,
                interrupted=interrupted,
            )
        )
        return result

    @abstractmethod
    def run(self, model: TextModel, update: SharedUpdate, session: Session) -> Candidate:
        """The algorithm: return the recovered batch, reporting through `session` on the way."""


def verify(model: TextModel, update: SharedUpdate, batch: TokenBatch) -> float:
    """Relative error of `batch`'s gradient against the shared one, over all shared tensors."""
    gradients = parameter_gradients(model.module, lambda: model.loss(batch), list(update.gradients))
    return relative_error(gradients, update.gradients)


def batch_labels(batch: TokenBatch) -> list[list[int]]:
    """Per sequence: the class, or the words under the masks."""
    if batch.labels.dim() == 1:
        return [[int(label)] for label in batch.labels]
    return [row[row != IGNORED].tolist() for row in batch.labels]


def label_texts(model: TextModel, batch: TokenBatch) -> list[list[str]]:
    """`batch_labels` for people: words for masked-LM, the class's number for classification."""
    labels = batch_labels(batch)
    if model.task == "classification":
        return [[str(label) for label in row] for row in labels]
    return [[str(model.tokenizer.convert_ids_to_tokens(label)) for label in row] for row in labels]


def _reconstruction(
    name: str, session: Session, candidate: Candidate, error: float, interrupted: bool
) -> Reconstruction:
    token_ids = candidate.batch.filled()
    return Reconstruction(
        attack=name,
        candidate=candidate,
        token_ids=token_ids,
        texts=[session.model.decode(ids) for ids in token_ids],
        labels=batch_labels(candidate.batch),
        evaluations=session.evaluations,
        seconds=session.seconds,
        gradient_error=error,
        verified=error < VERIFIED,
        interrupted=interrupted,
    )


@contextmanager
def _untouched(module: nn.Module) -> Iterator[None]:
    """Put modes, gradients and `requires_grad` back as they were, on every way out."""
    modes = [(child, child.training) for child in module.modules()]
    grads = [(p, p.grad, p.requires_grad) for p in module.parameters()]
    module.eval()
    try:
        yield
    finally:
        for child, training in modes:
            child.training = training
        for parameter, grad, requires_grad in grads:
            parameter.grad = grad
            parameter.requires_grad_(requires_grad)
