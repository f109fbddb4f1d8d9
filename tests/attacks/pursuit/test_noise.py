"""Pursuit under noise: what stands out of it is found, and nothing that chance brings."""

from __future__ import annotations

import pytest
import torch

from textleak.attacks.pursuit.noise import guessed_noise, row_noise, weighed
from textleak.attacks.pursuit.tree import PursuitOptions, by_chance, chosen_atoms
from textleak.attacks.pursuit.view import View
from textleak.attacks.pursuit.whitening import whitening
from textleak.core.noise import NoiseLaw


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_half_precision_is_read_off_the_numbers(kind: torch.dtype) -> None:
    torch.manual_seed(0)
    exact = torch.randn(4, 20_000)
    rows = exact.to(kind).float()
    true = (rows - exact).double().square().mean(1)
    assert torch.allclose(row_noise(rows, None), true, rtol=0.1)
    assert not row_noise(exact, None).any()


def test_stated_noise_counts_as_it_is_stated() -> None:
    rows = torch.randn(2, 50)
    assert torch.allclose(
        row_noise(rows, NoiseLaw("gaussian", 0.1)), torch.full((2,), 0.01).double()
    )


def test_noise_is_guessed_where_atoms_hold_least() -> None:
    torch.manual_seed(0)
    scales = torch.cat([torch.ones(32), torch.full((32,), 1e-6)])
    atoms = torch.randn(500, 64) * scales
    rows = torch.randn(8, 500) @ atoms + 0.5 * torch.randn(8, 64)
    moment = (atoms.T @ atoms / 500).double()
    assert guessed_noise(rows, moment, 0.5) == pytest.approx(0.25, rel=0.3)


def test_what_stands_out_of_noise_is_found_and_no_chance() -> None:
    torch.manual_seed(0)
    atoms = torch.randn(2000, 64)
    true = list(range(0, 2000, 400))
    rows = torch.randn(8, len(true)) @ atoms[true] + 0.1 * torch.randn(8, 64)
    weighty, noise = weighed(rows, torch.full((8,), 0.01).double(), 0.05)
    view = View(weighty, whitening(atoms, 1e-6, noise), 1.0)
    view.add(atoms)
    assert sorted(chosen_atoms([view], PursuitOptions(words=0.01))) == true


def test_nothing_is_found_in_noise_alone() -> None:
    torch.manual_seed(0)
    atoms = torch.randn(2000, 64)
    weighty, noise = weighed(torch.randn(8, 64), torch.ones(8).double(), 0.05)
    view = View(weighty, whitening(atoms, 1e-6, noise), 1.0)
    view.add(atoms)
    assert chosen_atoms([view], PursuitOptions(words=0.01)) == []


def test_chance_is_told_by_the_tail() -> None:
    torch.manual_seed(0)
    draws = torch.distributions.Exponential(2.0).sample((100_000,))  # type: ignore[no-untyped-call]
    assert by_chance(draws, 5.0) == pytest.approx(100_000 * 2.718281828**-10, rel=0.5)
