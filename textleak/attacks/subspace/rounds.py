"""One round: from an update to the sentences that it proves, and to what they leave of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from textleak.attacks.subspace.assembly import (
    Assembly,
    Effort,
    assemble,
    assemble_by_words,
    guesses,
    only_sentence,
    tokens_of,
)
from textleak.attacks.subspace.candidates import (
    Candidates,
    context_duals_of,
    context_span,
    everything,
    find_candidates,
    with_ends,
)
from textleak.attacks.subspace.deflation import FITS, deflated, fit_logit_gradients
from textleak.attacks.subspace.pairs import Frame, Pairs
from textleak.attacks.subspace.threads import one_thread
from textleak.core.budget import BudgetSpent
from textleak.core.update import SharedUpdate
from textleak.evidence.first_layer import FirstLayer
from textleak.models.text_model import TextModel

Sentence = tuple[int, ...]
_NOISY_TRIES = 4  # the likeliest places of a word, where every place is possible


@dataclass(frozen=True)
class Outcome:
    """What a round gave.

    Attributes:
        sentences: proven sentences, as word ids.
        found: the evidence that they were made from.
        rank: how many contexts the update held; None where they fill the width.
        guesses: unproven sentences for what these leave unexplained, with each token's weight.
        complete: the sentences account for every context of the update.
        stages: what each step gave, in words.
    """

    sentences: list[Sentence]
    found: Candidates
    rank: int | None
    guesses: list[tuple[Sentence, list[float]]]
    complete: bool
    stages: list[str]


@one_thread()
def solve_round(
    model: TextModel,
    update: SharedUpdate,
    layer: FirstLayer,
    report: Callable[[list[Sentence], float], None],
    attempts: int,
    rank: int | None = None,
    known: Sequence[Sentence] | None = None,
) -> Outcome:
    """Evidence, then sentences completed from it.

    Args:
        model: the public model.
        update: what was shared, or what earlier rounds leave of it.
        layer: the model's first layer.
        report: called with the sentences so far and the share of contexts that none explains.
        attempts: how often an unexplained pair is tried.
        rank: the number of contexts, if known.
        known: sentences that were proven of this very update, where what they leave told nothing and
            more is to be spent on the others. Without them, one attempt is made first where the found
            sentences can be taken off: what is left is smaller and comes apart more easily.
    """
    span = context_span(model, update, rank)
    # Noise and rounding to half precision hide exact relations; the regressions are robust to them.
    found = find_candidates(model, update, layer, exact=span is None or not span.noisy)
    frame = Frame(int(model.tokenizer.cls_token_id), int(model.tokenizer.sep_token_id))
    if not found.pairs:
        return Outcome([], found, None, [], False, list(found.stages))
    if model.feed.framed:
        found = with_opening(found, frame)
    duals = None if span is None else context_duals_of(model, update, layer, found, span)
    span = span or everything(layer)
    lengths = _lengths(update, found, layer)
    found = with_ends(found, layer, frame.last, lengths)
    pairs = Pairs(layer, found.pairs, found.settled, span, frame, duals)

    def tell(assembly: Assembly) -> None:
        left = 1 - tokens_of(pairs, assembly) / max(span.rank, 1)
        report([pairs.sentence(chosen) for chosen in assembly.proven], max(left, 0.0))

    full = len(span.complement) == 0
    assembly = Assembly(proven=pairs.chains(known or ()))
    alone = only_sentence(pairs) if len(found.deltas) else ()
    if alone:
        assembly.proven = [alone]
    elif not full:
        read, one_class = len(found.deltas) > 0, model.task.one_class
        thrifty = known is None and one_class and read
        with suppress(BudgetSpent):  # what was found and guessed so far is handed back
            _search(pairs, assembly, tell, one_class, attempts, read, thrifty)
    sentences = [pairs.sentence(chosen) for chosen in assembly.proven]
    every = tokens_of(pairs, assembly) == span.rank and not full and not span.noisy
    complete = bool(alone) or every
    size = update.metadata.batch_size
    most = None if size is None else max(size - len(sentences), 0)
    unproven = [
        (pairs.sentence(chosen), weights.tolist())
        for chosen, weights in guesses(pairs, assembly, most)
    ]
    note = f"{len(sentences)} sentences" + (", all" if complete else "")
    if full and not alone:
        note = "contexts not shared, or too many for the width: no proof"
    stages = [*found.stages, note]
    return Outcome(sentences, found, None if full else span.rank, unproven, complete, stages)


def _search(
    pairs: Pairs,
    assembly: Assembly,
    tell: Callable[[Assembly], None],
    deflates: bool,
    attempts: int,
    exact: bool,
    thrifty: bool,
) -> None:
    """Complete sentences, what costs little first; `assembly` grows."""
    if thrifty:
        assemble(pairs, tell, effort=Effort.thrifty(), begin=assembly)
        if assembly.proven:
            return
    noisy = pairs.span.noisy
    patience = Effort.noisy().patience if noisy else None
    assemble(pairs, tell, effort=Effort.noisy() if noisy else Effort(attempts), begin=assembly)
    if not (assembly.proven and exact):
        tries = _NOISY_TRIES if noisy else None
        again = not exact and not noisy
        assemble_by_words(pairs, tell, begin=assembly, again=again, tries=tries, patience=patience)
    elif not deflates and not noisy:
        # Its sentences cannot be taken off the update, so twins must show by their open pairs.
        assemble_by_words(pairs, tell, begin=assembly)


def _lengths(update: SharedUpdate, found: Candidates, layer: FirstLayer) -> Sequence[int]:
    """Tokens of each sequence, or of an only one as its places show; none where they are not known."""
    known, size = update.metadata.lengths, update.metadata.batch_size
    if known is not None:
        return known
    return (max(t % layer.count for _, t in found.pairs) + 1,) if size == 1 else ()


def with_opening(found: Candidates, frame: Frame) -> Candidates:
    """`found` with the one pair that opens every sentence, which noise may have hidden or doubled."""
    opening = (frame.first, 0)
    doubtful = not len(found.deltas)
    kept = [
        (pair, sure)
        for pair, sure in zip(found.pairs, found.settled, strict=True)
        if not doubtful or pair == opening or (pair[1] > 0 and pair[0] != frame.first)
    ]
    if opening not in found.pairs:
        kept.append((opening, False))
    return replace(found, pairs=[pair for pair, _ in kept], settled=[sure for _, sure in kept])


def remainder(
    model: TextModel, update: SharedUpdate, sentences: list[Sentence], outcome: Outcome
) -> tuple[SharedUpdate, int | None] | None:
    """What `sentences` leave of the whole `update`, and of its rank; None if that cannot be told.

    Args:
        model: the public model.
        update: the whole update.
        sentences: all that were found.
        outcome: of the first round, which saw the whole update.
    """
    if not model.task.one_class:
        return None
    settled = outcome.found.pairs[: len(outcome.found.deltas)]
    layer = FirstLayer.of(model)
    gradients = fit_logit_gradients(model, layer, sentences, settled, outcome.found.deltas)
    if gradients.error > FITS:
        return None
    known = gradients.values.norm(dim=1) > FITS * gradients.values.norm(dim=1).max()
    taken = sum(len(s) for s, is_known in zip(sentences, known, strict=True) if is_known)
    rank = None if outcome.rank is None else max(outcome.rank - taken, 1)
    return deflated(model, update, sentences, gradients), rank
