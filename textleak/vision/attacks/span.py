"""Pictures by the span of their features: a batch comes apart before anything is known of its labels.

The last linear layer's weight gradient is G = sum_i d_i h_i^T, with h_i the features of picture i and d_i
its (probabilities - truth) / B. Its rows span the features as long as the pictures stay fewer than the
classes (Kariyappa et al. 2023, Cocktail Party Attack, section 3). Where a picture leaves more features
than it has brightnesses, the span alone settles it: the pictures sought are those whose features span G's
rows. The distance does not see how much of each row a picture makes up, so two pictures of one class,
whose rows G all but adds up, are told apart by the faint rows of the other classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from textleak.gradients import value_and_slope
from textleak.optim import BatchedLBFGS, LBFGSOptions
from textleak.update import SharedUpdate
from textleak.vision.attacks.base import ImageSession
from textleak.vision.attacks.counting import batch_size
from textleak.vision.batch import ImageBatch
from textleak.vision.models.image_model import ImageModel
from textleak.vision.reconstruction import ImageCandidate

_STEP = 10.0  # the span ends where singular values fall by so much: rounding falls by 1e3 and more
_VARIED = 3e-3  # of the first singular value, what pictures must differ by: less is slow to follow
_ENOUGH = 1e-9  # of the squared sine between the spans: near 75 dB
_PATIENCE = 5  # outer iterations in which the distance must fall by a tenth
_LEAST = 1e-8  # probability of a class: softmax scores stay finite


@dataclass(frozen=True)
class Apart:
    """A batch's pictures, told apart.

    Attributes:
        images: (R, B, C, H, W), one batch a restart.
        truths: (R, B, K) the class probabilities that each was trained with.
        values: (R,) the distances of the spans.
        iterations: outer iterations taken.
    """

    images: Tensor
    truths: Tensor
    values: Tensor
    iterations: int

    def classes(self) -> list[int]:
        """The classes of the best restart's pictures, in order."""
        best = self.truths[int(self.values.argmin())]
        return sorted(int(label) for label in best.argmax(1))

    def points(self, labels: Sequence[int] | None) -> Tensor:
        """(R, D) points of the gradient matching: for fixed labels or, for None, with label scores."""
        if labels is None:
            return torch.cat([self.images.flatten(1), self.truths.log().flatten(1)], 1)
        return self._in_order(labels).flatten(1)

    def _in_order(self, labels: Sequence[int]) -> Tensor:
        """The images with each restart's put in the order that suits `labels` best."""
        wanted = torch.tensor(list(labels), device=self.truths.device)
        ordered = []
        for images, truths in zip(self.images, self.truths, strict=True):
            _, rows = linear_sum_assignment(truths[:, wanted].T.cpu().numpy(), maximize=True)
            ordered.append(images[torch.as_tensor(rows, device=images.device)])
        return torch.stack(ordered)


def feature_span(model: ImageModel, update: SharedUpdate) -> Tensor | None:
    """The span of a batch's features from the last layer's gradient, every row brought to one norm.

    Returns:
        (B, F) orthonormal rows in float64. None for a single picture, where the last layer or its
        gradient is missing, a picture has no more features than brightnesses, or the spectrum does
        not end after B values (more pictures than classes, a defence's noise) or falls at once (the
        features hardly depend on the picture, as with torch's default weights).
    """
    count = batch_size(update)
    weight = update.gradients.get(f"{model.head}.weight") if model.head else None
    if count == 1 or weight is None or weight.shape[1] <= math.prod(model.shape):
        return None
    rows = weight.double()
    norms = rows.norm(dim=1)
    rows = rows[norms > 0] / norms[norms > 0, None]
    if len(rows) <= count:
        return None
    _, values, right = torch.linalg.svd(rows, full_matrices=False)
    ends = float(values[count - 1]) > _STEP * float(values[count])
    varied = float(values[1]) > _VARIED * float(values[0])
    return right[:count] if ends and varied else None


def tell_apart(
    model: ImageModel,
    update: SharedUpdate,
    span: Tensor,
    start: Tensor,
    session: ImageSession,
    *,
    inner: int,
    iterations: int,
    at_once: int | None,
    options: LBFGSOptions,
) -> Apart:
    """Search for the pictures whose features span `span`, by L-BFGS.

    Args:
        model: the public model, in the arithmetic of the search.
        update: the shared update.
        span: (B, F) from `feature_span`.
        start: (R, B*C*H*W) brightnesses to start from.
        session: counts evaluations and hears of the progress.
        inner: evaluations an outer iteration.
        iterations: outer iterations at most.
        at_once: restarts that one pass takes at most.
        options: how L-BFGS steps.
    """
    batch = (len(span), *model.shape)
    gradient = update.gradients[f"{model.head}.weight"].to(start)

    def distances(points: Tensor) -> Tensor:
        session.evaluations += len(points)
        features = _features(model, points.reshape(-1, *model.shape))
        return span_distance(span.to(points), features.reshape(len(points), len(span), -1))

    def told(iteration: int) -> Apart:
        images = lbfgs.points.reshape(-1, *batch)
        truths = torch.stack([_truths(model, gradient, one) for one in images])
        return Apart(images, truths, lbfgs.values, iteration)

    lbfgs = BatchedLBFGS(start, lambda x: value_and_slope(distances, x, at_once), options)
    lowest: list[float] = []
    for iteration in range(1, iterations + 1):
        for _ in range(inner):
            lbfgs.step()
        found = told(iteration)
        best = int(found.values.argmin())
        pixels, truths = found.images[best].clone(), found.truths[best]
        lowest.append(float(found.values[best]))
        candidate = ImageCandidate(ImageBatch(pixels, truths), lowest[-1]).to(model.dtype)
        session.progress(candidate, stage="span", iteration=iteration, total=iterations)
        slow = len(lowest) > _PATIENCE and lowest[-1] > 0.9 * lowest[-1 - _PATIENCE]
        if lowest[-1] < _ENOUGH or slow or bool(lbfgs.stalled.all()):
            break
    return found


def span_distance(span: Tensor, features: Tensor) -> Tensor:
    """The sum of squared sines of the angles between two spans: 0 where they are one.

    Args:
        span: (B, F) orthonormal rows.
        features: (R, B, F).

    Returns:
        (R,), 0 to B, differentiable in `features`.

    >>> span_distance(torch.eye(2, 3), torch.tensor([[[5.0, 1.0, 0.0], [0.0, 2.0, 0.0]]])).abs() < 1e-6
    tensor([True])
    """
    basis = torch.linalg.qr(features.transpose(1, 2)).Q  # (R, F, B)
    # What sticks out is summed rather than taken from B: near 0 that keeps its digits.
    outside = span - (span @ basis) @ basis.transpose(1, 2)
    distance: Tensor = outside.square().sum((1, 2))
    return distance


def _features(model: ImageModel, pixels: Tensor) -> Tensor:
    """What the last linear layer sees of images (N, C, H, W): (N, F)."""
    seen: list[Tensor] = []
    head = model.module.get_submodule(str(model.head))
    handle = head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        model.logits(pixels)
    finally:
        handle.remove()
    return seen[-1]


def _truths(model: ImageModel, gradient: Tensor, images: Tensor) -> Tensor:
    """The class probabilities (B, K) with which images (B, C, H, W) give the last layer's gradient (K, F)."""
    with torch.no_grad():
        features = _features(model, images)
        shares = torch.linalg.lstsq(features.T, gradient.T).solution  # (B, K): d_i
        probabilities = model.logits(images).softmax(1)
        truths = (probabilities - len(images) * shares).clamp_min(_LEAST)
        normalised: Tensor = truths / truths.sum(1, keepdim=True)
        return normalised
