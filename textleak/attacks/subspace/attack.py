"""The attack `subspace`: evidence first, then sentences completed from it, then labels."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from textleak.attacks.base import Attack, Session
from textleak.attacks.prefix import PrefixOptions, run_prefixes
from textleak.attacks.pursuit import PursuitOptions, few_rows, run_pursuit
from textleak.attacks.subspace.candidates import context_span
from textleak.attacks.subspace.climbing import Climber
from textleak.attacks.subspace.finish import FINISHES
from textleak.attacks.subspace.noisy import NoisyOptions, noise_of, read_noisy, signed
from textleak.attacks.subspace.relabelling import with_nearer_labels
from textleak.attacks.subspace.rounds import Sentence, remainder, solve_round
from textleak.core.batch import TokenBatch, padded
from textleak.core.bounds import Count
from textleak.core.budget import BudgetSpent
from textleak.core.errors import UpdateError
from textleak.core.reconstruction import Candidate
from textleak.core.update import SharedUpdate
from textleak.evidence.first_layer import FirstLayer
from textleak.models.families.decoder import Decoder
from textleak.models.text_model import TextModel


class SubspaceOptions(BaseModel):
    """How hard to try.

    Attributes:
        attempts: how often an unexplained pair is tried, with ever more equations.
        rounds: how often what the found sentences leave of the update is attacked again.
        prefix: how a causal model's update is read.
        pursuit: how an update of its adapter is.
        noisy: how an update is whose noise is known, number by number.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    attempts: Count = 3
    rounds: Count = 4
    prefix: PrefixOptions = Field(default_factory=PrefixOptions)
    pursuit: PursuitOptions = Field(default_factory=PursuitOptions)
    noisy: NoisyOptions = Field(default_factory=NoisyOptions)


class Subspace(Attack[SubspaceOptions]):
    """Exact recovery of a batch from the row spaces and embedding gradients of one update."""

    name: ClassVar[str] = "subspace"
    options_class: ClassVar[type[BaseModel]] = SubspaceOptions

    def run(self, model: TextModel, update: SharedUpdate, session: Session) -> Candidate:
        """Evidence, sentences, what they leave of the update, and so on; then labels."""
        if isinstance(model.family, Decoder):
            if few_rows(model.family, update.gradients):
                return run_pursuit(model, model.family, update, session, self.options.pursuit)
            return run_prefixes(model, model.family, update, session, self.options.prefix)
        if model.task.bears not in FINISHES:
            raise UpdateError(f"subspace does not read labels of {model.task.name}: try dlg")
        if model.task.words and model.task.options.smoothing:
            raise UpdateError("subspace does not read words under label smoothing: try dlg")
        if not model.task.readable:
            raise UpdateError("subspace reads classes alone under a loss of one's own: try dlg")
        layer = FirstLayer.of(model)
        noise = noise_of(model, update)
        if noise is not None and (signed(update) or _blurred(model, update)):
            return self._noisy(model, update, noise, session)
        sentences: list[Sentence] = []
        stages: list[str] = []
        rest, rank, first = update, None, None
        known: list[Sentence] | None = None
        for number in range(self.options.rounds):

            def report(
                found: list[Sentence], unexplained: float, before: tuple[Sentence, ...]
            ) -> None:
                session.evaluated(1)
                candidate = _unlabelled(model, [*before, *found], unexplained)
                session.progress(candidate, stage="sentences", iteration=len(candidate.confidence))

            tell = partial(report, before=tuple(s for s in sentences if s not in (known or ())))
            if known is None and number + 1 == self.options.rounds:
                known = []  # the last round saves nothing for another
            try:
                outcome = solve_round(model, rest, layer, tell, self.options.attempts, rank, known)
            except BudgetSpent:
                if not sentences:
                    raise
                break
            first = first or outcome
            stages += outcome.stages
            fresh = [s for s in outcome.sentences if s not in sentences]
            sentences += fresh
            if outcome.complete or not fresh or session.spent:
                break
            left = remainder(model, update, sentences, first)
            if left is not None:
                (rest, rank), known = left, None
            elif known is None:
                known = outcome.sentences
            else:
                break
        guessed = [] if outcome.complete else outcome.guesses
        if not sentences and not guessed:
            stages.append("found no sentence")
            frame = (int(model.tokenizer.cls_token_id), int(model.tokenizer.sep_token_id))
            guessed = [(frame, [0.0, 0.0])]
        confidence = {ids: weights for ids, weights in guessed if ids not in sentences}
        confidence.update({ids: [1.0] * len(ids) for ids in sentences})
        return FINISHES[model.task.bears](model, update, confidence, tuple(stages))

    def _noisy(
        self, model: TextModel, update: SharedUpdate, noise: Mapping[str, Tensor], session: Session
    ) -> Candidate:
        """Sentences by what is likeliest, where the noise is known; then labels."""

        def report(climber: Climber) -> None:
            session.evaluated(climber.evaluations - session.evaluations)
            candidate = _unlabelled(model, list(climber.found), 1.0)
            session.progress(candidate, stage="sentences", iteration=len(climber.found))

        found, stages = read_noisy(model, update, noise, report, self.options.noisy)
        if not found:
            frame = (int(model.tokenizer.cls_token_id), int(model.tokenizer.sep_token_id))
            found = {frame: 0.0}
        confidence = {row: [1.0] * len(row) for row in found}
        candidate = FINISHES[model.task.bears](model, update, confidence, tuple(stages))
        return with_nearer_labels(model, update, candidate, session)


def _blurred(model: TextModel, update: SharedUpdate) -> bool:
    """Whether the contexts' span is not exact, or not shared."""
    span = context_span(model, update)
    return span is None or span.noisy


def _unlabelled(
    model: TextModel, sentences: list[tuple[int, ...]], unexplained: float
) -> Candidate:
    """Sentences whose labels are not looked for yet; the share of contexts that none explains."""
    ids, mask = padded(sentences, int(model.tokenizer.pad_token_id))
    batch = TokenBatch(ids, mask, model.task.unlabelled(ids))
    return Candidate(batch, [[1.0] * len(row) for row in sentences], unexplained)
