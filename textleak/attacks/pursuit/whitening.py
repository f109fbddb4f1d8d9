"""A dictionary made incoherent.

Rows are sums of atoms, Y = C X. Any invertible M leaves that true: Y M = C (X M). With M the inverse root
of the atoms' second moment the atoms of a language model, nearly parallel before, point in all directions.
"""

from __future__ import annotations

import torch
from torch import Tensor


def whitening(atoms: Tensor, least: float) -> Tensor:
    """M = (X^T X / n + least * largest eigenvalue)^(-1/2), (d, d) in double precision.

    Args:
        atoms: a sample of the dictionary, (n, d).
        least: the ridge, as a share of the largest eigenvalue.
    """
    sample = atoms.double()
    values, vectors = torch.linalg.eigh(sample.T @ sample / max(len(sample), 1))
    values = values.clamp_min(0) + least * values[-1].clamp_min(torch.finfo(torch.double).tiny)
    root: Tensor = (vectors / values.sqrt()) @ vectors.T
    return root
