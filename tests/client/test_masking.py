"""BERT's masking, over generated batches."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from textleak.core.batch import IGNORED
from textleak.core.randomness import stream
from textleak.tasks.masking import mask_tokens

SPECIAL, MASK = {0, 2, 3, 4}, 4
WORDS = torch.arange(5, 40)
sentences = st.lists(st.integers(5, 39), min_size=1, max_size=30)


def padded(rows: list[list[int]]) -> torch.Tensor:
    framed = [[2, *row, 3] for row in rows]
    width = max(map(len, framed))
    return torch.tensor([row + [0] * (width - len(row)) for row in framed])


def masked(ids: torch.Tensor, rate: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    return mask_tokens(
        ids,
        special=SPECIAL,
        mask_id=MASK,
        words=WORDS,
        draws=stream(seed),
        rate=rate,
    )


@given(st.lists(sentences, min_size=1, max_size=4), st.floats(0.01, 1.0), st.integers(0, 99))
def test_masking(rows: list[list[int]], rate: float, seed: int) -> None:
    ids = padded(rows)
    before = ids.clone()
    corrupted, labels = masked(ids, rate, seed)
    chosen = labels != IGNORED
    assert torch.equal(ids, before)
    assert torch.equal(labels[chosen], ids[chosen])
    assert torch.equal(corrupted[~chosen], ids[~chosen])
    special = torch.isin(ids, torch.tensor(sorted(SPECIAL)))
    assert not (chosen & special).any()
    assert chosen.sum(1).tolist() == [max(1, round(rate * len(row))) for row in rows]
    again = masked(ids, rate, seed)
    assert torch.equal(again[0], corrupted)
    assert torch.equal(again[1], labels)


def test_the_shares_are_80_10_10() -> None:
    ids = torch.randint(5, 40, (200, 100), generator=torch.Generator().manual_seed(0))
    corrupted, labels = masked(ids, 0.15, 0)
    chosen = labels != IGNORED
    count = chosen.sum().item()
    hidden = (corrupted == MASK).sum().item() / count
    kept = (chosen & (corrupted == ids)).sum().item() / count
    assert count == 200 * 15
    assert abs(hidden - 0.8) < 0.03
    assert abs(kept - 0.1 - 0.1 / len(WORDS)) < 0.03
