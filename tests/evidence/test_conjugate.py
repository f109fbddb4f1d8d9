"""Conjugate gradients, and the decoder's Gauss-Newton step by products, against direct solutions."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from textleak.evidence.conjugate import conjugate_gradients
from textleak.evidence.decoder import _Mixture


@given(size=st.integers(1, 12), seed=st.integers(0, 999))
def test_it_solves_what_a_matrix_does(size: int, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    root = torch.randn(size, size, generator=draw, dtype=torch.float64)
    matrix = root @ root.T + torch.eye(size)
    target = torch.randn(size, generator=draw, dtype=torch.float64)
    found = conjugate_gradients(lambda x: matrix @ x, target, matrix.diagonal(), tolerance=1e-9)
    torch.testing.assert_close(matrix @ found, target)


def test_nothing_wanted_is_nothing_found() -> None:
    zero = torch.zeros(2, 3)
    assert torch.equal(conjugate_gradients(lambda x: x, zero, torch.ones(2, 3)), zero)


@given(loose=st.integers(1, 4), seed=st.integers(0, 99))
def test_a_step_by_products_is_the_step_of_the_normal_equations(loose: int, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    rank, vocabulary = 5, 60
    words, bias, states = (
        torch.randn(*shape, generator=draw, dtype=torch.float64)
        for shape in ((vocabulary, rank), (vocabulary,), (loose, rank))
    )
    absent = torch.arange(10, 60)
    rows = torch.randn(len(absent), rank, generator=draw, dtype=torch.float64)
    sums = torch.ones(len(absent)).double()
    direct, iterated = (
        _Mixture(rows, sums, words, bias, absent, direct=most)._steps(rows, states)(1e-2)
        for most in (10**6, 0)
    )
    torch.testing.assert_close(iterated, direct, rtol=1e-2, atol=1e-3)
