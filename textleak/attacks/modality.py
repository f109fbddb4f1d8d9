"""Text, as a run of an attack asks of it."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import nn

from textleak.attacks.reliability import reliability_warnings
from textleak.core.consistency import check_fits, check_lengths, check_within, workable
from textleak.core.events import Finished, Iteration
from textleak.core.modality import Modality
from textleak.core.reconstruction import Candidate, TextReconstruction
from textleak.core.update import SharedUpdate
from textleak.core.verdict import Verdict
from textleak.evidence.factor import upright
from textleak.likelihood.posterior import judged, under_noise
from textleak.models.text_model import TextModel
from textleak.verdict.examiner import Examiner
from textleak.verdict.judge import judge


class TextModality(Modality[TextModel, Candidate, TextReconstruction]):
    """Sequences of tokens with their labels.

    Attributes:
        examiner: says whether a batch explains an update to rounding.
    """

    name: ClassVar[str] = "text"

    def __init__(self, model: TextModel) -> None:
        super().__init__(model)
        self.examiner = Examiner(model)

    @property
    def module(self) -> nn.Module:
        """The model's module."""
        return self.model.module

    def check(self, update: SharedUpdate) -> None:
        """Raise UpdateError where names, shapes, stated labels or lengths do not fit the model."""
        model = self.model
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

    def prepared(self, update: SharedUpdate) -> SharedUpdate:
        """The update in a range that can be squared, and of the sign that the loss gives."""
        return upright(self.model, workable(update))

    def objective(self, candidate: Candidate) -> float:
        """The value that the attack minimised."""
        return candidate.objective

    def step(self, candidate: Candidate, facts: dict[str, Any]) -> Iteration:
        """The event that shows `candidate`: its ids, texts and labels."""
        task = self.model.task
        return Iteration(
            **facts,
            **self._shown(candidate),
            labels=task.texts(self.model.tokenizer, task.rows(candidate.batch)),
        )

    def explains(self, update: SharedUpdate, candidate: Candidate) -> bool:
        """Whether the batch explains the update to rounding."""
        return self.examiner.explains(update, candidate.batch)

    def error(self, update: SharedUpdate, candidate: Candidate) -> float:
        """The relative error of the batch's update against the shared one."""
        return self.examiner.check(update, candidate.batch).error

    def judge(self, update: SharedUpdate, candidate: Candidate) -> Verdict:
        """What the update says of the batch, by its neighbours; under noise of a stated law by its likelihood."""
        std = under_noise(update, len(candidate.batch.input_ids))
        if std is not None:
            return judged(self.model, update, candidate.batch, std)
        return judge(self.model, update, candidate.batch, self.examiner)

    def warnings(
        self, update: SharedUpdate, candidate: Candidate, verdict: Verdict
    ) -> tuple[str, ...]:
        """Why the batch may not be what the client had."""
        return reliability_warnings(self.model, update, candidate.batch, verdict)

    def reconstruction(self, candidate: Candidate, facts: dict[str, Any]) -> TextReconstruction:
        """The batch with its ids, texts and labels."""
        labels = self.model.task.rows(candidate.batch)
        return TextReconstruction(
            **facts, **self._shown(candidate), candidate=candidate, labels=labels
        )

    def end(self, found: TextReconstruction, facts: dict[str, Any]) -> Finished:
        """The event that ends the attack, with the texts."""
        return Finished(**facts, texts=found.texts)

    def _shown(self, candidate: Candidate) -> dict[str, Any]:
        token_ids = self.model.task.filled(candidate.batch)
        return {"token_ids": token_ids, "texts": [self.model.decode(ids) for ids in token_ids]}
