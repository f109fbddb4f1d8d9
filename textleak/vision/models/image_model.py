"""The public image classifier as attacks and clients use it."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textleak.core.update import ModelRecipe
from textleak.models.kinks import kinks
from textleak.vision.batch import ImageBatch


@dataclass(frozen=True)
class ImageModel:
    """An image classifier with the shape of its input and what is said of how it was made.

    Any `nn.Module` that maps (N, C, H, W) to logits (N, K), or to an object with `.logits`, will do.

    Attributes:
        module: the classifier, in evaluation mode: batch normalisation uses its fixed statistics.
        shape: channels, height, width of its input.
        classes: K, how many it tells apart.
        recipe: how to load it again; None for a module that the caller built.
        mean: per channel, subtracted from brightness before the module sees it.
        spread: per channel, divided by after that.
        notes: what a reader of results must know of the weights.
    """

    module: nn.Module
    shape: tuple[int, int, int]
    classes: int
    recipe: ModelRecipe | None = None
    mean: tuple[float, ...] = (0.0,)
    spread: tuple[float, ...] = (1.0,)
    notes: tuple[str, ...] = field(default=())

    @cached_property
    def parameters(self) -> dict[str, nn.Parameter]:
        """The trainable parameters by name; a tied parameter appears once."""
        return {n: p for n, p in self.module.named_parameters() if p.requires_grad}

    @property
    def device(self) -> torch.device:
        """The device that the weights are on."""
        return next(self.module.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The weights' type."""
        return next(self.module.parameters()).dtype

    @cached_property
    def head(self) -> str | None:
        """The name of the last linear layer that puts out the classes, where there is one."""
        named = [
            name
            for name, layer in self.module.named_modules()
            if isinstance(layer, nn.Linear) and layer.out_features == self.classes
        ]
        return named[-1] if named else None

    def logits(self, pixels: Tensor) -> Tensor:
        """Class scores (N, K) of images (N, C, H, W) with brightness 0 to 1."""
        mean = torch.tensor(self.mean, device=pixels.device, dtype=pixels.dtype)
        spread = torch.tensor(self.spread, device=pixels.device, dtype=pixels.dtype)
        output = self.module((pixels - mean[:, None, None]) / spread[:, None, None])
        return output if isinstance(output, Tensor) else cast(Tensor, output.logits)

    def losses(self, pixels: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy of each image, (N,), for classes (N,) or class probabilities (N, K)."""
        return F.cross_entropy(self.logits(pixels), targets, reduction="none")

    def loss(self, batch: ImageBatch) -> Tensor:
        """The training loss of `batch`: mean cross-entropy."""
        return self.losses(batch.pixels, batch.labels).mean()

    def in_double(self) -> ImageModel:
        """A copy in float64; this model is not touched."""
        return replace(self, module=copy.deepcopy(self.module).double())

    def warnings(self) -> tuple[str, ...]:
        """What in this model makes gradient matching unreliable."""
        image = torch.zeros(1, *self.shape, device=self.device, dtype=self.dtype)
        kinked = kinks(self.module, lambda: self.logits(image))
        if not kinked:
            return ()
        return (
            f"{len(kinked)} activations are not twice differentiable (first: {kinked[0]}); "
            "gradient matching stops at their kinks: swap them, for example by --activation sigmoid",
        )
