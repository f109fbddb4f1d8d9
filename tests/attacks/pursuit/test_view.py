"""Pursuit on generated dictionaries: what belongs is found, though the rows are far fewer than it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from textleak.attacks.pursuit.view import View
from textleak.attacks.pursuit.whitening import whitening


def dictionary(count: int, width: int) -> Tensor:
    """Nearly parallel atoms, as a language model's are."""
    torch.manual_seed(0)
    return torch.randn(count, width) + 5 * torch.randn(width)


def chosen(atoms: Tensor, rows: Tensor, count: int, transform: Tensor) -> list[int]:
    view = View(rows, transform)
    view.add(atoms)
    found = []
    for _ in range(count):
        found.append(int(view.scores().argmax()))
        view.choose(found[-1])
    assert view.residual < 1e-4
    return found


@pytest.mark.parametrize("rows", [2, 4, 8])
def test_atoms_are_found_from_fewer_rows(rows: int) -> None:
    atoms = dictionary(600, 64)
    true = list(range(0, 600, 60))  # ten, more than there are rows
    shared = torch.randn(rows, len(true)) @ atoms[true]
    assert sorted(chosen(atoms, shared, len(true), whitening(atoms, 1e-6))) == true


def test_whitened_atoms_are_not_parallel() -> None:
    def parallel(atoms: Tensor) -> float:
        unit = atoms / atoms.norm(dim=1, keepdim=True)
        return float((unit @ unit.T).abs().fill_diagonal_(0).mean())

    atoms = dictionary(600, 64)
    turned = (atoms.double() @ whitening(atoms, 1e-6)).float()
    assert parallel(atoms) > 0.9
    moment = turned.T @ turned / len(turned)
    assert torch.allclose(moment, torch.eye(64), atol=1e-2)
    assert parallel(turned) < 0.2


def test_a_score_is_the_share_of_what_is_left_of_an_atom_in_the_residuals_rows() -> None:
    atoms = dictionary(40, 16).double()
    rows = torch.randn(3, 7).double() @ atoms[:7]
    view = View(rows, torch.eye(16).double())
    view.add(atoms)
    for index in (0, 1):
        view.choose(index)
    taken = torch.linalg.qr(atoms[:2].T).Q
    free = torch.eye(16).double() - taken @ taken.T
    left = torch.linalg.qr((rows @ free).T).Q
    rest = atoms[2:] @ free
    slow = (rest @ left).square().sum(1) / rest.square().sum(1)
    assert torch.allclose(view.scores()[2:].double(), slow, atol=1e-4)
