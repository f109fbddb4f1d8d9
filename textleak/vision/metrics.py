"""How near the recovered images come to the true ones."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)


@dataclass(frozen=True)
class ImageScore:
    """One pair of images, brightness cut to 0..1.

    Attributes:
        mse: mean squared error.
        psnr: peak signal-to-noise ratio in dB, peak 1; infinite for equal images.
        ssim: structural similarity (Wang et al. 2004), -1 to 1; None below 11 pixels a side.
        label_match: the recovered class is the true one.
    """

    mse: float
    psnr: float
    ssim: float | None
    label_match: bool


def mean_squared_errors(recovered: Tensor, truth: Tensor) -> Tensor:
    """Of every pair of images, (N, M), for batches (N, C, H, W) and (M, C, H, W).

    >>> import torch
    >>> mean_squared_errors(torch.zeros(1, 1, 2, 2), torch.ones(2, 1, 2, 2)).tolist()
    [[1.0, 1.0]]
    """
    return (recovered[:, None] - truth[None]).square().flatten(2).mean(2)


def assign(recovered: Tensor, truth: Tensor) -> list[int]:
    """For each true image the index of its recovered one, by the least total squared error.

    >>> import torch
    >>> a, b = torch.zeros(1, 2, 2), torch.ones(1, 2, 2)
    >>> assign(torch.stack([a, b]), torch.stack([b, a]))
    [1, 0]
    """
    costs = mean_squared_errors(_shown(recovered), _shown(truth)).nan_to_num(math.inf, math.inf)
    rows, columns = linear_sum_assignment(costs.clamp_max(1e9).numpy())
    partner = dict(zip(columns.tolist(), rows.tolist(), strict=True))
    return [partner[index] for index in range(len(truth))]


def score_image(
    recovered: Tensor, truth: Tensor, recovered_label: int, true_label: int
) -> ImageScore:
    """Score one recovered image (C, H, W) against the true one.

    >>> import torch
    >>> image = torch.rand(3, 16, 16)
    >>> score_image(image, image, 4, 4)
    ImageScore(mse=0.0, psnr=inf, ssim=1.0, label_match=True)
    """
    found, true = _shown(recovered)[None], _shown(truth)[None]
    error = float((found - true).square().mean())
    psnr = float(peak_signal_noise_ratio(found, true, data_range=1.0)) if error > 0 else math.inf
    ssim = None
    if min(true.shape[2:]) >= 11:
        similarity = structural_similarity_index_measure(found, true, data_range=1.0)
        assert isinstance(similarity, Tensor)
        ssim = round(float(similarity), 6)
    return ImageScore(error, psnr, ssim, recovered_label == true_label)


def worst_psnr(recovered: Tensor, truth: Tensor) -> float:
    """The PSNR in dB of the worst image of a batch (B, C, H, W), paired by optimal assignment.

    >>> import torch
    >>> worst_psnr(torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 0.1))
    20.0
    """
    order = assign(recovered, truth)
    errors = (_shown(recovered)[order] - _shown(truth)).square().flatten(1).mean(1)
    return psnr_of(float(errors.max()))


def psnr_of(mse: float) -> float:
    """The PSNR in dB of a mean squared error, for brightness 0 to 1.

    >>> psnr_of(0.01)
    20.0
    """
    return round(-10 * math.log10(mse), 6) if mse > 0 else math.inf


def _shown(images: Tensor) -> Tensor:
    """What a screen would show: brightness from 0 to 1."""
    return images.detach().cpu().double().nan_to_num(0.0).clamp(0, 1)
