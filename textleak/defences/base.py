"""What every defence shares: seeding, the record of what was done, and the untouched original."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Generic, TypeVar, final

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from textleak.update import SharedUpdate


class NoOptions(BaseModel):
    """Nothing to choose."""

    model_config = ConfigDict(frozen=True, extra="forbid")


OptionsT = TypeVar("OptionsT", bound=BaseModel)


class Defence(ABC, Generic[OptionsT]):
    """Changes the gradients of an update; a subclass writes `protect` only."""

    name: ClassVar[str]
    options_class: ClassVar[type[BaseModel]] = NoOptions

    def __init__(self, options: OptionsT) -> None:
        self.options = options

    @property
    def spec(self) -> str:
        """The defence as it is written: its name with every option."""
        settings = ",".join(f"{key}={value}" for key, value in self.options.model_dump().items())
        return f"{self.name}:{settings}" if settings else self.name

    @final
    def __call__(self, update: SharedUpdate, *, seed: int = 0) -> SharedUpdate:
        """The update as it is shared under this defence; `update` itself is not touched.

        Args:
            update: what the client would share.
            seed: seeds what is random; drawn on the CPU, so it means the same on every device.
        """
        generator = torch.Generator().manual_seed(seed)
        gradients = self.protect(
            {name: tensor.detach().clone() for name, tensor in update.gradients.items()}, generator
        )
        done = (*update.metadata.defences, self.spec)
        return SharedUpdate(gradients, update.metadata.model_copy(update={"defences": done}))

    @abstractmethod
    def protect(
        self, gradients: dict[str, Tensor], generator: torch.Generator
    ) -> dict[str, Tensor]:
        """The gradients to share, by the same names and of the same shapes."""
