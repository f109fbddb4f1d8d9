"""How much is spent on pairs that no sentence explains, and when nothing has to be searched."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.evidence.test_neighbours import drawn_layer, span_of
from textleak.attacks.subspace import assembly
from textleak.attacks.subspace.assembly import Effort, assemble, assemble_by_words, only_sentence
from textleak.attacks.subspace.completion import Completion
from textleak.attacks.subspace.pairs import Frame, Pairs
from textleak.attacks.subspace.threads import one_thread

FIRST, LAST = 0, 1


def two_sentences(length: int = 20, settled: bool = True) -> Pairs:
    """The pairs of two sentences without a common word, framed."""
    inner = [(2 + 2 * (t - 1) % 36 + s, t) for t in range(1, length) for s in (0, 1)]
    pairs = [(FIRST, 0), *inner, (LAST, length)]
    return Pairs(drawn_layer(), pairs, [settled] * len(pairs), span_of(7), Frame(FIRST, LAST))


def one_sentence(settled: bool) -> Pairs:
    pairs = [(FIRST, 0), (5, 1), (9, 2), (LAST, 3)]
    flags = [True, True, settled, True]
    return Pairs(drawn_layer(), pairs, flags, span_of(7), Frame(FIRST, LAST))


@pytest.fixture
def attempts_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(pairs: Pairs, seeds: list[int], *_: object, **__: object) -> Completion:
        return Completion(np.zeros(len(pairs)), (), 1.0)

    monkeypatch.setattr(assembly, "complete", nothing)


@pytest.mark.usefixtures("attempts_fail")
@pytest.mark.parametrize("effort", [Effort(1, 3), Effort(2, 5)])
def test_what_is_spent_where_nothing_can_be_proven_does_not_grow_with_the_batch(
    effort: Effort,
) -> None:
    for length in (20, 40):
        found = assemble(two_sentences(length), effort=effort)
        assert found.evaluations == effort.attempts * effort.patience


@pytest.mark.usefixtures("attempts_fail")
def test_words_are_not_tried_on_and_on_where_nothing_is_ever_proven() -> None:
    pairs = two_sentences(settled=False)
    assert assemble_by_words(pairs, patience=4).evaluations == 4
    assert assemble_by_words(pairs).evaluations > 20


def test_a_failed_attempt_speaks_for_the_pairs_that_it_took_for_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pairs = two_sentences()
    chains = [tuple(np.flatnonzero(pairs.words % 2 == parity).tolist()) for parity in (0, 1)]

    def its_own(_: Pairs, seeds: list[int], *__: object, **___: object) -> Completion:
        chosen = next(chain for chain in chains if seeds[0] in chain)
        weights = np.zeros(len(pairs))
        weights[list(chosen)] = 1.0
        return Completion(weights, chosen, 1.0)

    monkeypatch.setattr(assembly, "complete", its_own)
    monkeypatch.setattr(assembly, "is_proven", lambda *_: False)
    assert assemble(pairs, effort=Effort(1, 50)).evaluations == 2


def test_one_proven_pair_a_place_is_the_sentence() -> None:
    assert only_sentence(one_sentence(settled=True)) == (0, 1, 2, 3)
    assert only_sentence(one_sentence(settled=False)) == ()
    assert only_sentence(two_sentences()) == ()


def test_threads_are_restored_even_after_an_error() -> None:
    before = torch.get_num_threads()

    def fails() -> None:
        with one_thread():
            assert torch.get_num_threads() == 1
            raise ZeroDivisionError

    torch.set_num_threads(2)
    try:
        with pytest.raises(ZeroDivisionError):
            fails()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
