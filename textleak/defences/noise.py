"""Noise on every entry (DLG, section 5.1)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from textleak.core.noise import NoiseLaw
from textleak.core.randomness import Stream
from textleak.defences.base import Step, UpdateDefence


class NoiseOptions(BaseModel):
    """How strong the noise is.

    Attributes:
        std: its standard deviation, in the units of the gradient.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    std: float = Field(default=1e-3, ge=0, allow_inf_nan=False)


class Noise(UpdateDefence[NoiseOptions]):
    """Adds independent noise of mean 0; a subclass draws it."""

    options_class: ClassVar[type[BaseModel]] = NoiseOptions
    promises: ClassVar[str] = (
        "Hides what is smaller than the noise; no proof without a bound on each example's gradient."
    )
    costs: ClassVar[str] = (
        "Slower and less accurate training: the noise is as strong in every entry, however small."
    )
    reproducible: ClassVar[bool] = False
    linear: ClassVar[bool] = True
    kind: ClassVar[Literal["gaussian", "laplacian"]]

    def noise(self, examples: int) -> NoiseLaw | None:
        """Its law, the same for any number of examples."""
        return NoiseLaw(self.kind, self.options.std) if self.options.std else None

    def protect(self, gradients: dict[str, Tensor], step: Step) -> dict[str, Tensor]:
        """Add `std` times a draw of variance 1, tensor by tensor in the order of their names."""
        noise = {
            name: self.options.std * self.draw(gradients[name].shape, step.draws)
            for name in sorted(gradients)
        }
        return {name: tensor + noise[name].to(tensor) for name, tensor in gradients.items()}

    @abstractmethod
    def draw(self, shape: Sequence[int], draws: Stream) -> Tensor:
        """Noise of mean 0 and variance 1."""


class GaussianNoise(Noise):
    """Normal noise."""

    name: ClassVar[str] = "gaussian"
    kind = "gaussian"

    def draw(self, shape: Sequence[int], draws: Stream) -> Tensor:
        """Noise of mean 0 and variance 1."""
        return draws.normal(*shape)


class LaplacianNoise(Noise):
    """Laplace noise: heavier tails at the same variance."""

    name: ClassVar[str] = "laplacian"
    kind = "laplacian"

    def draw(self, shape: Sequence[int], draws: Stream) -> Tensor:
        """Noise of mean 0 and variance 1, a scale of 1/√2."""
        return draws.laplace(*shape)
