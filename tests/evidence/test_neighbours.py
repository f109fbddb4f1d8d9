"""Contexts with one word changed, held to attention done anew, and how much is held at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from textleak.evidence.first_layer import FirstLayer
from textleak.evidence.neighbours import Neighbours
from textleak.evidence.spans import Span

WIDTH, HEADS, WORDS, PLACES = 24, 3, 40, 300


def drawn_layer(seed: int = 0, sharpness: float = 1.0) -> FirstLayer:
    draw = torch.Generator().manual_seed(seed)

    def matrix(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=draw, dtype=torch.float64)

    return FirstLayer(
        words=matrix(WORDS, WIDTH),
        places=matrix(PLACES, WIDTH),
        scale=matrix(WIDTH),
        shift=matrix(WIDTH),
        eps=1e-12,
        heads=HEADS,
        weights=(
            sharpness * matrix(WIDTH, WIDTH) / 5,
            matrix(WIDTH, WIDTH) / 5,
            matrix(WIDTH, WIDTH),
        ),
        biases=(matrix(WIDTH), matrix(WIDTH), matrix(WIDTH)),
    )


class Largest(TorchDispatchMode):
    """Notes the most numbers that any tensor made meanwhile holds."""

    numbers = 0

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, (tuple, list)) else [made]:
            if isinstance(tensor, torch.Tensor):
                self.numbers = max(self.numbers, tensor.untyped_storage().nbytes() // 8)
        return made


def span_of(rank: int) -> Span:
    draw = torch.Generator().manual_seed(1)
    square = torch.randn(WIDTH, WIDTH, generator=draw, dtype=torch.float64)
    rows = torch.linalg.qr(square).Q
    return Span(rows[:rank], rows[rank:])


@given(length=st.integers(2, 9), block=st.sampled_from([1, 50, 10_000]), seed=st.integers(0, 99))
def test_neighbours_are_what_attention_gives_them(length: int, block: int, seed: int) -> None:
    layer, span = replace(drawn_layer(seed), block=block), span_of(7)
    draw = torch.Generator().manual_seed(seed)
    sentence = torch.randint(WORDS, (length,), generator=draw)
    places = torch.randint(length, (6,), generator=draw)
    words = torch.randint(WORDS, (6,), generator=draw)
    rows = sentence.repeat(6, 1)
    rows[torch.arange(6), places] = words
    whole = replace(layer, block=10**9)
    near = Neighbours(layer, sentence)
    torch.testing.assert_close(near.contexts, whole.contexts(sentence[None])[0])
    torch.testing.assert_close(layer.contexts(rows), whole.contexts(rows))
    expected = span.residual(whole.contexts(rows)).amax(1)
    torch.testing.assert_close(near.residuals(span, places, words), expected)


def test_no_neighbours_have_no_residuals() -> None:
    none = torch.zeros(0, dtype=torch.long)
    near = Neighbours(drawn_layer(), torch.arange(4))
    assert near.residuals(span_of(7), none, none).shape == (0,)


def test_a_context_that_rounding_alone_decides_counts_for_nothing() -> None:
    # Every query attends to the word that leaves, and to nothing else that a float64 could hold.
    layer = drawn_layer(3, sharpness=300.0)
    sentence = torch.tensor([1, 2, 3, 4, 5])
    near = Neighbours(layer, sentence)
    alone = Neighbours(layer, sentence, least=float("inf"))
    places, words = torch.arange(5), torch.arange(6, 11)
    rows = sentence.repeat(5, 1)
    rows[torch.arange(5), places] = words
    exact = span_of(7).residual(layer.contexts(rows))
    found = near.residuals(span_of(7), places, words)
    assert bool((found <= exact.amax(1) * (1 + 1e-6)).all())
    own = exact[torch.arange(5), places]  # the changed place's own context is never a difference
    torch.testing.assert_close(alone.residuals(span_of(7), places, words), own)


@pytest.mark.parametrize("length", [40, 300])
def test_what_is_held_at_once_does_not_grow_with_the_square_of_the_length(length: int) -> None:
    block = 20_000
    layer, span = replace(drawn_layer(), block=block), span_of(7)
    sentence = torch.arange(length) % WORDS
    places = torch.arange(length)
    with Largest() as largest:
        Neighbours(layer, sentence).residuals(span, places, (sentence + 1) % WORDS)
    assert largest.numbers <= block
    with Largest() as largest:
        layer.contexts(sentence.repeat(3, 1))
    assert largest.numbers <= max(block, 3 * length * WIDTH)
