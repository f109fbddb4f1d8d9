"""The divergence of two noisy updates, against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Laplace, Normal, kl_divergence

from textleak.core.noise import NoiseLaw
from textleak.defences import Defences

CHANGE = torch.tensor([0.0, 1e-6, -1e-3, 0.02, 0.5, -3.0, 40.0], dtype=torch.double)


@pytest.mark.parametrize("std", [0.1, 2.0])
def test_nats_are_the_divergence(std: float) -> None:
    zero = torch.zeros_like(CHANGE)
    normal = kl_divergence(Normal(zero, std), Normal(CHANGE, std)).sum()
    assert NoiseLaw("gaussian", std).nats(CHANGE) == pytest.approx(float(normal))
    scale = std / 2**0.5
    laplace = kl_divergence(Laplace(zero, scale), Laplace(CHANGE, scale)).sum()
    law = NoiseLaw("laplacian", std)
    assert law.nats(CHANGE) == pytest.approx(float(laplace), rel=1e-6)
    assert law.nats(CHANGE) <= float(law.nats_of(CHANGE.square().sum()))


def test_small_changes_under_laplacian_noise_keep_their_digits() -> None:
    change = torch.tensor([1e-9], dtype=torch.double)
    assert NoiseLaw("laplacian", 1.0).nats(change) == pytest.approx(1e-18, rel=1e-6)


def test_every_defence_says_its_noise() -> None:
    laws = {
        "gaussian:std=0.5": NoiseLaw("gaussian", 0.5),
        "laplacian:std=0.5": NoiseLaw("laplacian", 0.5),
        "dpsgd:clip=2,noise=3": NoiseLaw("gaussian", 1.5),
        "gaussian:std=0": None,
        "fp16": None,
    }
    assert {spec: Defences.parse([spec]).all[0].noise(4) for spec in laws} == laws


def test_variances_add() -> None:
    both = NoiseLaw("laplacian", 3.0).and_also(NoiseLaw("gaussian", 4.0))
    assert both == NoiseLaw("gaussian", 5.0)
