"""Pictures by the span of their features: a batch comes apart before anything is known of its labels.

The last linear layer's weight gradient is G = sum_i d_i h_i^T, with h_i the features of picture i and d_i
its (probabilities - truth) / B. Its rows lie in the span of the features, and fill it as long as the
pictures stay fewer than the classes (Kariyappa et al. 2023, Cocktail Party Attack, section 3). Where the
rows hold many more numbers than the pictures have brightnesses, that settles them: the pictures sought are
those whose features span G's rows. The distance does not see how much of each row a picture makes up, so two pictures of one class,
whose rows G all but adds up, are told apart by the faint rows of the other classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from textleak.core.update import SharedUpdate
from textleak.gradients import value_and_slope
from textleak.models.inputs import inputs_of
from textleak.optim import BatchedLBFGS, LBFGSOptions
from textleak.vision.attacks.base import ImageSession
from textleak.vision.attacks.counting import batch_size
from textleak.vision.batch import ImageBatch
from textleak.vision.models.image_model import ImageModel
from textleak.vision.reconstruction import ImageCandidate

LIVELY = 0.1  # noise on the grey start
_STEP = 10.0  # the span ends where singular values fall by so much: rounding falls by 1e3 and more
_EACH = 3  # numbers in the span a brightness: with 4 batches of 9 come apart, with 2.3 of 16 not
_VARIED = 3e-3  # of the first singular value, what pictures must differ by: less is slow to follow
_ENOUGH = 1e-9  # of the squared sine between the spans: near 75 dB
_PATIENCE = 5  # outer iterations in which the distance must fall by a tenth
_STUCK = 1e-3  # a search that ends above is in a local minimum, and begins anew
_ANEW = 4  # times at most
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

    def best(self) -> ImageCandidate:
        """The batch of the best restart."""
        best = int(self.values.argmin())
        batch = ImageBatch(self.images[best], self.truths[best])
        return ImageCandidate(batch, float(self.values[best]))

    def classes(self) -> list[int]:
        """The classes of the best restart's pictures, in order."""
        return sorted(self.best().batch.classes)

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
        (r, F) orthonormal rows in float64, r the lesser of B and K - 1. None for a single picture,
        where the last layer or its gradient is missing, the rows hold too few numbers for so many
        brightnesses, or the spectrum does not end after r values (a defence's noise) or falls at
        once (the features hardly depend on the picture, as with torch's default weights).
    """
    count = batch_size(update)
    weight = update.gradients.get(f"{model.head}.weight") if model.head else None
    if count == 1 or weight is None:
        return None
    rows = weight.double()
    norms = rows.norm(dim=1)
    rows = rows[norms > 0] / norms[norms > 0, None]
    rank = min(count, len(rows) - 1)  # the rows add up to nothing
    if rank < 2 or rank * rows.shape[1] < _EACH * count * math.prod(model.shape):
        return None
    _, values, right = torch.linalg.svd(rows, full_matrices=False)
    ends = float(values[rank - 1]) > _STEP * float(values[rank])
    varied = float(values[1]) > _VARIED * float(values[0])
    return right[:rank] if ends and varied else None


class SpanSearch:
    """Searches for the pictures whose features span a gradient's rows, by L-BFGS from grey.

    Args:
        model: the public model, in the arithmetic of the search.
        update: the shared update.
        span: (r, F) from `feature_span`.
        session: counts evaluations and hears of the progress.
        options: how L-BFGS steps.
        at_once: restarts that one pass takes at most.
    """

    def __init__(
        self,
        model: ImageModel,
        update: SharedUpdate,
        span: Tensor,
        session: ImageSession,
        options: LBFGSOptions,
        at_once: int | None = None,
    ) -> None:
        self._model = model
        self._batch = (batch_size(update), *model.shape)
        self._span = span.to(model.device, model.dtype)
        self._gradient = update.gradients[f"{model.head}.weight"].to(self._span)
        self._session = session
        self._options = options
        self._at_once = at_once

    def tell_apart(self, restarts: int, inner: int, iterations: int) -> Apart:
        """Search, and begin anew where that ends in a local minimum.

        Args:
            restarts: R, starting points taken together.
            inner: evaluations an outer iteration.
            iterations: outer iterations at most, over all beginnings.
        """
        found = self._descend(restarts, inner, 0, iterations)
        for _ in range(_ANEW):
            if float(found.values.min()) < _STUCK or found.iterations >= iterations:
                break
            again = self._descend(restarts, inner, found.iterations, iterations)
            best = min(again, found, key=lambda one: float(one.values.min()))
            found = replace(best, iterations=again.iterations)
        return found

    def _descend(self, restarts: int, inner: int, begun: int, iterations: int) -> Apart:
        start = 0.5 + LIVELY * torch.randn(restarts, math.prod(self._batch))
        lbfgs = BatchedLBFGS(start.to(self._span), self._evaluate, self._options)
        lowest: list[float] = []
        for iteration in range(begun + 1, iterations + 1):
            for _ in range(inner):
                lbfgs.step()
            found = self._apart(lbfgs, iteration)
            lowest.append(float(found.values.min()))
            self._session.progress(
                found.best().to(self._model.dtype),
                stage="span",
                iteration=iteration,
                total=iterations,
            )
            slow = len(lowest) > _PATIENCE and lowest[-1] > 0.9 * lowest[-1 - _PATIENCE]
            if lowest[-1] < _ENOUGH or slow or bool(lbfgs.stalled.all()):
                break
        return found

    def _evaluate(self, points: Tensor) -> tuple[Tensor, Tensor]:
        self._session.evaluated(len(points))
        return value_and_slope(self._distances, points, self._at_once)

    def _distances(self, points: Tensor) -> Tensor:
        features, _ = features_and_scores(self._model, points.reshape(-1, *self._batch[1:]))
        return span_distance(self._span, features.reshape(len(points), self._batch[0], -1))

    def _apart(self, lbfgs: BatchedLBFGS, iteration: int) -> Apart:
        images = lbfgs.points.reshape(-1, *self._batch).clone()
        truths = torch.stack([self._truths(one) for one in images])
        return Apart(images, truths, lbfgs.values, iteration)

    def _truths(self, images: Tensor) -> Tensor:
        """The class probabilities (B, K) with which images (B, C, H, W) give the last layer's gradient."""
        with torch.no_grad():
            features, scores = features_and_scores(self._model, images)
            shares = torch.linalg.lstsq(features.T, self._gradient.T).solution  # (B, K): d_i
            truths = (scores.softmax(1) - len(images) * shares).clamp_min(_LEAST)
            normalised: Tensor = truths / truths.sum(1, keepdim=True)
            return normalised


def span_distance(span: Tensor, features: Tensor) -> Tensor:
    """The sum of squared sines of the angles between two spans: 0 where one holds the other.

    Args:
        span: (r, F) orthonormal rows.
        features: (R, B, F).

    Returns:
        (R,), 0 to r, differentiable in `features`.

    >>> span_distance(torch.eye(2, 3), torch.tensor([[[5.0, 1.0, 0.0], [0.0, 2.0, 0.0]]])).abs() < 1e-6
    tensor([True])
    """
    basis = torch.linalg.qr(features.transpose(1, 2)).Q  # (R, F, B)
    # What sticks out is summed rather than taken from B: near 0 that keeps its digits.
    outside = span - (span @ basis) @ basis.transpose(1, 2)
    distance: Tensor = outside.square().sum((1, 2))
    return distance


def features_and_scores(model: ImageModel, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """What the last linear layer sees of images (N, C, H, W) and makes of it: (N, F) and (N, K)."""
    with inputs_of(model.module.get_submodule(str(model.head))) as seen:
        scores = model.logits(pixels)
    return seen[-1], scores
