"""The gradient distance of R dummy batches as a function of (R, D) points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from textleak.core.update import SharedUpdate
from textleak.gradients import Distance, EngineMatcher, Recorder, value_and_slope
from textleak.gradients.curvature import FoldedGradients, Share
from textleak.vision.attacks.base import ImageSession
from textleak.vision.attacks.counting import batch_size
from textleak.vision.attacks.verdict import squared_norm
from textleak.vision.batch import ImageBatch
from textleak.vision.models.image_model import ImageModel
from textleak.vision.reconstruction import ImageCandidate


class ImageObjective:
    """Gradient matching over images and, where the labels are not fixed, soft labels.

    A point holds a dummy batch: its B*C*H*W brightnesses, then B*K label scores whose softmax are
    the class probabilities (DLG, section 3.2).

    Args:
        model: the public model.
        update: the shared update.
        distance: how gradients are compared.
        session: counts the evaluations.
        labels: the fixed classes, one an image; None optimises soft labels.
        at_once: how many dummy batches one pass takes at most; None is all.
    """

    def __init__(
        self,
        model: ImageModel,
        update: SharedUpdate,
        distance: Distance,
        session: ImageSession,
        labels: Sequence[int] | None = None,
        at_once: int | None = None,
    ) -> None:
        self._model = model
        self._session = session
        self._at_once = at_once
        self._kind = distance.kind
        self.shared = update.gradients
        self._matcher = EngineMatcher(model.module, update.gradients, distance)
        self.batch = batch_size(update)
        self.pixels = self.batch * math.prod(model.shape)
        self.labels = None if labels is None else torch.tensor(list(labels), device=model.device)
        self.size = point_size(model, update, labels)

    @property
    def device(self) -> torch.device:
        """Where the search runs."""
        return self._model.device

    @property
    def dtype(self) -> torch.dtype:
        """The arithmetic of the search."""
        return self._model.dtype

    def folded(self) -> FoldedGradients:
        """The dummy batch's gradients as a vector whose squared distance is the objective."""
        shares = [
            Share(self.image_part(image), partial(self._share, image))
            for image in range(self.batch)
        ]
        return FoldedGradients(self._model.module, shares, self.squared_weights)

    def count(self, evaluations: int) -> None:
        """Count gradients that were evaluated elsewhere."""
        self._session.evaluated(evaluations)

    @property
    def scale(self) -> float:
        """The distance of a zero gradient: a distance over this is a squared relative error."""
        return squared_norm(self.shared) if self._kind == "l2" else 1.0

    @property
    def squared_weights(self) -> dict[str, float]:
        """What the squared error of each tensor counts in the distance."""
        if self._kind == "l2":
            return dict.fromkeys(self.shared, 1.0)
        kept = self._matcher.weights
        sizes = {name: float(self.shared[name].double().square().sum()) for name in kept}
        return {name: kept[name] / sizes[name] / sum(kept.values()) for name in kept}

    def _share(self, image: int, point: Tensor) -> Tensor:
        """What one image adds to the dummy batch's training loss at a point (D,), the plain way."""
        images, probabilities = self.split(point[None])
        one = slice(image, image + 1)
        return self._model.losses(images[0, one], probabilities[0, one]).sum() / self.batch

    def __call__(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """The distances (R,) at `points` (R, D), and their gradients (R, D)."""
        return value_and_slope(self.distances, points, self._at_once)

    def distances(self, points: Tensor) -> Tensor:
        """The distances (R,) at `points` (R, D), differentiable."""
        count = len(points)
        images, probabilities = self.split(points)  # (R, B, C, H, W), (R, B, K)

        def forward(_: Recorder) -> Tensor:
            losses = self._model.losses(images.flatten(0, 1), probabilities.flatten(0, 1))
            return losses.reshape(count, self.batch).mean(1)

        self._session.check()
        self._session.evaluated(count)
        return self._matcher(forward, candidates=count, batch=self.batch)

    def split(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """The images (R, B, C, H, W) and class probabilities (R, B, K) of points (R, D)."""
        count, classes = len(points), self._model.classes
        images = points[:, : self.pixels].reshape(count, self.batch, *self._model.shape)
        if self.labels is not None:
            fixed = F.one_hot(self.labels, classes).to(points)
            return images, fixed.expand(count, -1, -1)
        scores = points[:, self.pixels :].reshape(count, self.batch, classes)
        return images, scores.softmax(2)

    def image_part(self, image: int) -> Tensor:
        """The places in a point that belong to one image of the batch and its label scores."""
        each = self.pixels // self.batch
        part = torch.arange(image * each, (image + 1) * each)
        if self.labels is not None:
            return part
        classes = self._model.classes
        start = self.pixels + image * classes
        return torch.cat([part, torch.arange(start, start + classes)])

    def candidate(self, points: Tensor, values: Tensor, *notes: str) -> ImageCandidate:
        """The best of the points (R, D) by their values (R,), as a recovered batch."""
        best = int(values.nan_to_num(torch.inf).argmin())
        images, probabilities = self.split(points[best : best + 1].detach())
        labels = self.labels if self.labels is not None else probabilities[0]
        return ImageCandidate(ImageBatch(images[0].clone(), labels), float(values[best]), notes)


def point_size(model: ImageModel, update: SharedUpdate, labels: Sequence[int] | None) -> int:
    """D: brightnesses, and label scores where the labels are not fixed."""
    each = math.prod(model.shape) + (model.classes if labels is None else 0)
    return batch_size(update) * each
