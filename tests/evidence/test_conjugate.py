"""Conjugate gradients, and the decoder's Gauss-Newton step by products, against direct solutions."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from textleak.evidence.conjugate import conjugate_gradients
from textleak.evidence.mixture import Mixture


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
    mixture = Mixture(rows, sums, words, bias, absent, direct=0)
    gram, slope = mixture._normal(rows, states)
    step = mixture._steps(rows, states)(1e-2).flatten()
    diagonal = gram.diagonal() * (1 + 1e-2)
    left = slope - gram @ step - 1e-2 * gram.diagonal() * step

    def size(vector: Tensor) -> float:  # in the scale that the tolerance is stated in
        return float((vector.square() / diagonal).sum().sqrt())

    assert size(left) <= 1.01e-4 * size(slope)
