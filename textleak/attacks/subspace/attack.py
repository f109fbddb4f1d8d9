"""The attack `subspace`: evidence first, then sentences completed from it, then labels."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import BaseModel, ConfigDict, Field

from textleak.attacks.base import Attack, Session
from textleak.attacks.subspace.assembly import Assembly, assemble
from textleak.attacks.subspace.candidates import context_span, find_candidates
from textleak.attacks.subspace.finish import finish_classification, finish_masked, pad_sentences
from textleak.attacks.subspace.pairs import Frame, Pairs
from textleak.evidence.first_layer import FirstLayer
from textleak.models.batch import TokenBatch
from textleak.models.text_model import TextModel
from textleak.reconstruction import Candidate
from textleak.update import SharedUpdate


class SubspaceOptions(BaseModel):
    """How hard to try.

    Attributes:
        attempts: how often an unexplained pair is tried, with ever more equations.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    attempts: int = Field(default=3, ge=1)


class Subspace(Attack[SubspaceOptions]):
    """Exact recovery of a batch from the row spaces and embedding gradients of one update."""

    name: ClassVar[str] = "subspace"
    options_class: ClassVar[type[BaseModel]] = SubspaceOptions

    def run(self, model: TextModel, update: SharedUpdate, session: Session) -> Candidate:
        """Evidence, sentences, labels."""
        layer = FirstLayer.of(model)
        found = find_candidates(model, update, layer)
        span = context_span(model, update)
        frame = Frame(int(model.tokenizer.cls_token_id), int(model.tokenizer.sep_token_id))
        pairs = Pairs(layer, found.pairs, found.settled, span, frame)

        def report(assembly: Assembly) -> None:
            session.evaluations = assembly.evaluations
            sentences = [pairs.sentence(chosen) for chosen in assembly.proven]
            session.progress(
                _unlabelled(model, sentences), stage="sentences", iteration=len(sentences)
            )

        assembly = assemble(pairs, report, attempts=self.options.attempts)
        session.evaluations = assembly.evaluations
        sentences = [pairs.sentence(chosen) for chosen in assembly.proven]
        finish = finish_masked if model.task == "mlm" else finish_classification
        return finish(model, update, sentences, found.stages)


def _unlabelled(model: TextModel, sentences: list[tuple[int, ...]]) -> Candidate:
    ids, mask = pad_sentences(sentences, int(model.tokenizer.pad_token_id))
    batch = TokenBatch(ids, mask, torch.zeros(len(sentences), dtype=torch.long))
    return Candidate(batch, [[1.0] * len(row) for row in sentences], float("inf"))
