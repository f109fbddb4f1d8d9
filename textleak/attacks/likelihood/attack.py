"""The attack `likelihood`: the batch that makes a noisy update likeliest."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import BaseModel
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from textleak.attacks.base import Attack, Session
from textleak.attacks.likelihood.options import LikelihoodOptions
from textleak.attacks.likelihood.search import Climb, Scored
from textleak.attacks.matching.nearest import standing_words
from textleak.attacks.subspace import Subspace, SubspaceOptions
from textleak.core.batch import TokenBatch
from textleak.core.errors import TextleakError, UpdateError
from textleak.core.randomness import stream
from textleak.core.reconstruction import Candidate
from textleak.core.update import SharedUpdate
from textleak.evidence.noisy_rows import (
    NoisyRows,
    SlopePrior,
    evident_noise,
    one_sequence,
)
from textleak.likelihood.likelihoods import Likelihoods
from textleak.likelihood.protocol import protocol_of
from textleak.models.families.decoder import Decoder
from textleak.models.text_model import TextModel

_SHORTLIST = 256  # words of each place that the assignment chooses from


class Likelihood(Attack[LikelihoodOptions]):
    """Maximum likelihood under known noise: matched filters, then exact likelihoods of whole batches."""

    name: ClassVar[str] = "likelihood"
    options_class: ClassVar[type[BaseModel]] = LikelihoodOptions

    def run(self, model: TextModel, update: SharedUpdate, session: Session) -> Candidate:
        """Starts from the rows of the embedding tables and from `subspace`; then the climb."""
        std, factor = deviation_of(model, update, self.options.std)
        words = standing_words(model.tokenizer, masks=False, framed=model.feed.framed)
        likelihoods = Likelihoods(model, update, std, factor=factor)
        rows = _rows(model, update, words, std)
        climb = Climb(
            model,
            likelihoods,
            list(update.gradients),
            words,
            None if rows is None else rows.pairs[:, words],
            self.options,
            lambda scored, count: _tell(session, scored, count),
        )
        if rows is not None and _single(update):
            lengths = _lengths(model, update, rows, self.options)
            found = climb.run(_assigned(model, rows, words, length) for length in lengths)
        else:
            found = climb.run(_by_subspace(model, update, session))
        return _candidate(found, (f"noise of {std:.2g} an entry",))


def suits(model: TextModel, update: SharedUpdate) -> bool:
    """Whether `likelihood` has evidence of its own: one noisy sequence's rows of both embedding tables."""
    if isinstance(model.family, Decoder) or not _readable(model, update) or not _single(update):
        return False
    try:
        deviation_of(model, update, None)
    except UpdateError:
        return False
    return True


def deviation_of(
    model: TextModel, update: SharedUpdate, stated: float | None
) -> tuple[float, bool]:
    """The noise's deviation, and whether an unknown factor stands before the gradient.

    Raises:
        UpdateError: there is no noise.
    """
    protocol = protocol_of(update, update.metadata.batch_size or 1)
    factor = isinstance(protocol, str) or not protocol.linear
    if stated is not None:
        return stated, factor
    if not isinstance(protocol, str) and protocol.law is not None:
        return protocol.law.std, factor
    std = evident_noise(model, dict(update.gradients))
    if std == 0:
        raise UpdateError("the update has no noise that is stated or seen: try auto")
    return std, factor


def _single(update: SharedUpdate) -> bool:
    facts = update.metadata
    count = facts.batch_size or (len(facts.lengths) if facts.lengths else 1)
    return count == 1


def _readable(model: TextModel, update: SharedUpdate) -> bool:
    """Whether both embedding tables are shared, and the word table holds no decoder's gradient as well."""
    parts = model.family.embeddings
    return (
        model.task.bears == "sequences"
        and not model.family.head.tied
        and parts.words.of(update.gradients) is not None
        and parts.positions is not None
        and parts.positions.of(update.gradients) is not None
    )


def _rows(model: TextModel, update: SharedUpdate, words: Tensor, std: float) -> NoisyRows | None:
    """What the embedding tables' rows say; None where they say nothing of single words."""
    if not _readable(model, update):
        return None
    parts = model.family.embeddings
    table = parts.words.of(update.gradients)
    places = parts.positions.of(update.gradients) if parts.positions is not None else None
    assert table is not None
    assert places is not None
    prior = SlopePrior.of(model, words, stream(0, "likelihood", "slopes"))
    return NoisyRows.of(table.cpu(), places.cpu(), std, prior)


def _lengths(
    model: TextModel, update: SharedUpdate, rows: NoisyRows, options: LikelihoodOptions
) -> list[int]:
    """The lengths, frame included, that the rows make likeliest: places used, and where the last token stands."""
    if update.metadata.lengths is not None:
        return [update.metadata.lengths[0]]
    begin, end = model.marks.begin, model.marks.end
    shortest = len(begin) + len(end) + 1
    nats = rows.places[: len(rows.pairs)].cumsum(0)
    if end:
        nats = nats + rows.pairs[:, end[-1]]
    order: list[int] = (nats.argsort(descending=True) + 1).tolist()
    return [length for length in order if length >= shortest][: options.lengths]


def _assigned(model: TextModel, rows: NoisyRows, words: Tensor, length: int) -> TokenBatch:
    """The one sequence whose words at its places the rows make likeliest, each word once."""
    begin, end = len(model.marks.begin), len(model.marks.end)
    pairs = rows.pairs[begin : length - end, words]
    some = pairs.topk(min(_SHORTLIST, pairs.shape[1])).indices.unique()  # type: ignore[no-untyped-call]
    at, chosen = linear_sum_assignment(pairs[:, some].numpy(), maximize=True)
    ids = words[some[torch.from_numpy(chosen)]][torch.from_numpy(at).argsort()]
    return one_sequence(model, ids.tolist())


def _by_subspace(model: TextModel, update: SharedUpdate, session: Session) -> list[TokenBatch]:
    """What `subspace` makes of the update."""
    try:
        return [Subspace(SubspaceOptions()).run(model, update, session).batch]
    except TextleakError as error:
        raise UpdateError(f"likelihood found nothing to start from: subspace: {error}") from error


def _tell(session: Session, scored: Scored, count: int) -> None:
    session.evaluated(count)
    session.progress(_candidate(scored), stage="likelihood", iteration=session.evaluations)


def _candidate(scored: Scored, notes: tuple[str, ...] = ()) -> Candidate:
    confidence = [[1.0] * length for length in scored.batch.lengths]
    return Candidate(scored.batch, confidence, -scored.nats, notes=notes)
