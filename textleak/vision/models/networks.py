"""The networks of *Deep Leakage from Gradients*, section 4.1, with a smooth activation.

The paper makes a network attackable by putting a smooth activation in place of ReLU and taking the
strides of ResNet away. Activations are modules, so that `swap_activations` reaches them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

Activation = Callable[[], nn.Module]
Shape = tuple[int, int, int]


def lenet(
    shape: Shape,
    classes: int,
    activation: Activation,
    *,
    convolutions: int = 3,
    strides: tuple[int, ...] = (2, 2),
) -> nn.Module:
    """The paper's LeNet: 5x5 convolutions with 12 channels, one linear layer.

    Args:
        shape: channels, height, width.
        classes: how many logits.
        activation: makes an activation.
        convolutions: 3, as in the authors' code, or 4, as in iDLG's.
        strides: of the first convolutions, the rest have 1: two of 2 in the authors' code, none where
            they are removed (section 4.1).
    """
    channels, height, width = shape
    layers: list[nn.Module] = []
    for index in range(convolutions):
        stride = strides[index] if index < len(strides) else 1
        layers += [nn.Conv2d(channels, 12, 5, stride=stride, padding=2), activation()]
        channels, height, width = 12, -(-height // stride), -(-width // stride)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(12 * height * width, classes))


def mlp(shape: Shape, classes: int, activation: Activation, *, width: int = 128) -> nn.Module:
    """Two fully connected layers; the first one's gradient holds its input (Aono et al. 2017)."""
    channels, height, wide = shape
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(channels * height * wide, width),
        activation(),
        nn.Linear(width, classes),
    )


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2016), without stride."""

    def __init__(self, inputs: int, outputs: int, activation: Activation) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.first_activation = activation()
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        self.second_activation = activation()
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H, W)."""
        hidden = self.first_activation(self.first_norm(self.first(inputs)))
        hidden = self.second_norm(self.second(hidden)) + self.shortcut(inputs)
        output: Tensor = self.second_activation(hidden)
        return output


def resnet(shape: Shape, classes: int, activation: Activation, *, depth: int = 20) -> nn.Module:
    """ResNet-20 or -56 for small images (He et al. 2016, section 4.2) without strides.

    Args:
        shape: channels, height, width.
        classes: how many logits.
        activation: makes an activation.
        depth: 6n + 2 layers.
    """
    channels = 16
    layers: list[nn.Module] = [
        nn.Conv2d(shape[0], channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        activation(),
    ]
    for width in (16, 32, 64):
        for _ in range((depth - 2) // 6):
            layers.append(ResidualBlock(channels, width, activation))
            channels = width
    pool = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]
    return nn.Sequential(*layers, *pool)


@torch.no_grad()
def calibrate_norms(module: nn.Module, shape: Shape, generator: torch.Generator) -> None:
    """Give batch normalisation the statistics that training would have left, from soft noise.

    Without them (mean 0, variance 1) a stack of sigmoids lets hardly anything of an image through:
    at 20 layers a grey picture's gradient differs from the true one by 1e-7. The statistics of the
    batch itself, which the paper's code uses, would tie its images together and hide the contrast.
    """
    norms = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    coarse = torch.rand(64, shape[0], 5, 5, generator=generator)
    images = nn.functional.interpolate(coarse, shape[1:], mode="bilinear")
    for norm in norms:
        norm.momentum = None  # the plain average, here of one batch
    module.train()
    module(images)
    module.eval()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def draw_uniform(module: nn.Module, reach: float = 0.5) -> None:
    """Draw every parameter from uniform(-reach, reach), as the authors' code does."""
    for parameter in module.parameters():
        nn.init.uniform_(parameter, -reach, reach)
