"""Scores against an independent reference, and the pairing of a batch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from textleak.vision.metrics import assign, score_image, worst_psnr


def reference_ssim(found: np.ndarray, true: np.ndarray) -> float:
    """Wang et al. (2004): Gaussian windows of sigma 1.5, 11 pixels wide, inner part only."""

    def smooth(values: np.ndarray) -> np.ndarray:
        return gaussian_filter(values, 1.5, truncate=5 / 1.5)[5:-5, 5:-5]

    mean_a, mean_b = smooth(found), smooth(true)
    var_a = smooth(found * found) - mean_a**2
    var_b = smooth(true * true) - mean_b**2
    both = smooth(found * true) - mean_a * mean_b
    top = (2 * mean_a * mean_b + 0.01**2) * (2 * both + 0.03**2)
    return float((top / ((mean_a**2 + mean_b**2 + 0.01**2) * (var_a + var_b + 0.03**2))).mean())


def test_scores_agree_with_their_definitions() -> None:
    torch.manual_seed(0)
    true = torch.rand(1, 20, 24, dtype=torch.float64)
    found = (true + 0.1 * torch.randn_like(true)).clamp(0, 1)
    score = score_image(found, true, 3, 4)
    mse = float(((found - true) ** 2).mean())
    assert score.mse == pytest.approx(mse)
    assert score.psnr == pytest.approx(-10 * math.log10(mse), rel=1e-5)
    assert score.ssim == pytest.approx(reference_ssim(found[0].numpy(), true[0].numpy()), abs=2e-3)
    assert not score.label_match


def test_a_tiny_image_has_no_structural_similarity() -> None:
    image = torch.rand(3, 8, 8)
    assert score_image(image, image, 0, 0).ssim is None


def test_recovered_brightness_is_cut_to_what_a_screen_shows() -> None:
    true = torch.ones(1, 12, 12)
    assert score_image(true + 5, true, 0, 0).mse == 0


def test_a_batch_is_paired_by_the_least_total_error() -> None:
    torch.manual_seed(0)
    true = torch.rand(5, 1, 6, 6)
    shuffled = torch.tensor([3, 0, 4, 1, 2])
    found = true[shuffled] + 0.01
    assert shuffled[assign(found, true)].tolist() == [0, 1, 2, 3, 4]
    assert worst_psnr(found.clamp(0, 1), true) == pytest.approx(40, abs=0.2)


def test_images_that_are_not_finite_are_scored_as_black() -> None:
    true = torch.full((1, 1, 12, 12), 0.5)
    assert worst_psnr(torch.full_like(true, torch.nan), true) == pytest.approx(6.02, abs=0.01)
