"""Rules for image layers: convolutions as products with unfolded patches, batch normalisation."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from textleak.gradients.layers import Formed, Term, constant, has, needed, runs_as
from textleak.gradients.matcher import accumulation


class ConvolutionRule:
    """`nn.Conv2d`, ungrouped: the kernel's gradient is slope times unfolded patches.

    The forward pass is that same product, so its two derivatives are matrix products as well:
    several times faster at image sizes than the library's double backward of a convolution, which
    runs one grouped convolution a sample.
    """

    def fits(self, module: nn.Module) -> bool:
        """See `Rule`."""
        plain = runs_as(module, nn.Conv2d) and has(module, "weight") and module.groups == 1
        return bool(
            plain and module.padding_mode == "zeros" and not isinstance(module.padding, str)
        )

    def run(self, module: nn.Module, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """See `Rule`."""
        assert isinstance(module, nn.Conv2d)
        assert not isinstance(module.padding, str)
        kernel = needed(module, "weight")
        patches = F.unfold(  # (N, in*k*k, L)
            inputs, module.kernel_size, module.dilation, module.padding, module.stride
        )
        output = kernel.flatten(1) @ patches  # (N, out, L)
        bias = constant(module, "bias")
        if bias is not None:
            output = output + bias[:, None]
        height = _positions(module, inputs.shape[2], 0)
        return output.reshape(*output.shape[:2], height, -1), patches

    def terms(
        self, module: nn.Module, saved: Tensor, slope: Tensor, candidates: int
    ) -> Iterator[tuple[str, Term]]:
        """See `Rule`."""
        slope = _by_image(slope.flatten(2), candidates)  # (R, B, out, L)
        patches = _by_image(saved, candidates)  # (R, B, in*k*k, L)
        kernels = torch.matmul(slope, patches.mT).sum(1)  # (R, out, in*k*k)
        yield "weight", Formed(kernels.reshape(candidates, *needed(module, "weight").shape))
        if has(module, "bias"):
            yield "bias", Formed(slope.sum((1, 3)))


class BatchNormRule:
    """`nn.BatchNorm2d` in evaluation mode: a fixed standardisation, then scale and shift."""

    def fits(self, module: nn.Module) -> bool:
        """See `Rule`."""
        plain = runs_as(module, nn.BatchNorm2d) and has(module, "weight")
        return plain and not module.training and module.running_mean is not None

    def run(self, module: nn.Module, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """See `Rule`."""
        assert isinstance(module, nn.BatchNorm2d)
        assert module.running_mean is not None  # as `fits` has seen
        assert module.running_var is not None
        spread = (module.running_var + module.eps).rsqrt()
        standard = (inputs - module.running_mean[:, None, None]) * spread[:, None, None]
        scale, shift = needed(module, "weight"), needed(module, "bias")
        return standard * scale[:, None, None] + shift[:, None, None], standard

    def terms(
        self, module: nn.Module, saved: Tensor, slope: Tensor, candidates: int
    ) -> Iterator[tuple[str, Term]]:
        """See `Rule`."""
        slope = _by_image(slope, candidates)  # (R, B, C, H, W)
        yield "weight", Formed((slope * _by_image(saved, candidates)).sum((1, 3, 4)))
        yield "bias", Formed(slope.sum((1, 3, 4)))


def _by_image(tensor: Tensor, candidates: int) -> Tensor:
    """Split the candidate-major leading axis, (R*B, ...) to (R, B, ...), in the type of sums."""
    return tensor.to(accumulation(tensor)).reshape(candidates, -1, *tensor.shape[1:])


def _positions(module: nn.Conv2d, size: int, axis: int) -> int:
    """Output positions along one image axis."""
    assert not isinstance(module.padding, str)
    reach = module.dilation[axis] * (module.kernel_size[axis] - 1)
    return (size + 2 * module.padding[axis] - reach - 1) // module.stride[axis] + 1
