"""Moves change what they say and nothing else."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from textleak.attacks.dlg.moves import (
    Move,
    apply_all,
    block_moves,
    class_moves,
    compatible,
    label_moves,
    swap_moves,
    word_moves,
)
from textleak.attacks.matching.facts import free_places
from textleak.core.batch import IGNORED, TokenBatch


def batch() -> TokenBatch:
    ids = torch.tensor([[2, 7, 8, 8, 3], [2, 9, 7, 3, 0]])
    labels = torch.full_like(ids, IGNORED)
    labels[0, 1], labels[1, 2] = 11, 12
    return TokenBatch(ids, (ids != 0).long(), labels)


def places() -> list[tuple[int, ...]]:
    return free_places(torch.tensor([[0, 1, 1, 1, 0], [0, 1, 1, 0, 0]]) == 1)


def test_word_moves_leave_out_the_word_that_stands_there() -> None:
    moves = list(word_moves(batch(), {(0, 1): [7, 5, 6], (1, 1): [9]}))
    assert [move.words for move in moves] == [(((0, 1), 5),), (((0, 1), 6),)]


def test_blocks_turn_whole_sequences_first_and_carry_the_labels_of_tokens() -> None:
    start = batch()
    moves = block_moves(start, places(), 50)
    turned = [apply_all([move], start) for move in moves]
    assert [row.input_ids[0].tolist() for row in turned[:2]] == [[2, 8, 8, 7, 3], [2, 8, 7, 8, 3]]
    assert [row.labels[0].tolist().index(11) for row in turned[:2]] == [3, 2]
    assert turned[2].rows() == [[2, 7, 8, 8, 3], [2, 7, 9, 3]]
    for row in turned:
        assert sorted(row.input_ids.flatten().tolist()) == sorted(
            start.input_ids.flatten().tolist()
        )
        assert sorted(row.labels.flatten().tolist()) == sorted(start.labels.flatten().tolist())
    assert len(block_moves(start, places(), 2)) == 2


def test_swaps_stay_inside_a_sequence_and_are_their_own_inverse() -> None:
    start = batch()
    moves = list(swap_moves(start, places()))
    assert len(moves) == 3  # 7-8, 7-8 and 9-7; 8-8 is none
    for move in moves:
        once = move.apply(start)
        assert sorted(once.input_ids.flatten().tolist()) == sorted(
            start.input_ids.flatten().tolist()
        )
        assert not torch.equal(once.input_ids, start.input_ids)


def test_label_moves_keep_the_labels_and_their_number() -> None:
    start = batch()
    for move in label_moves(start, places()):
        labels = move.apply(start).labels
        assert sorted(labels[labels != IGNORED].tolist()) == [11, 12]
        assert torch.equal(start.labels, batch().labels)


def test_class_moves_reach_every_class() -> None:
    start = TokenBatch(torch.zeros(2, 3), torch.ones(2, 3), torch.tensor([0, 2]))
    reached = {tuple(move.apply(start).labels.tolist()) for move in class_moves(start, 3)}
    assert reached == {(1, 2), (2, 2), (0, 0), (0, 1), (2, 0)}


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(4, 9)), max_size=8))
def test_compatible_moves_touch_a_place_once(changes: list[tuple[int, int]]) -> None:
    moves = [Move(words=(((0, at), word),)) for at, word in changes]
    chosen = compatible(moves)
    assert len({at for at, _ in changes}) == len(chosen)
    together = apply_all(chosen, batch())
    for at, _ in changes:
        first = next(w for a, w in changes if a == at)
        assert int(together.input_ids[0, at]) == first
