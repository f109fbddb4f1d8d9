"""The narrow waist: what a client shares, and all that an attack may see besides the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from textleak.core.bounds import MOST_DEFENCES, MOST_PIXELS, MOST_STEPS, Classes, Seed
from textleak.core.consistency import contradiction
from textleak.core.errors import ConfigError, DataError, UpdateError
from textleak.core.feed import Feed
from textleak.core.loss import LossOptions
from textleak.core.paths import is_file
from textleak.core.privacy import PrivacyGuarantee
from textleak.core.task_names import TaskName
from textleak.core.threat_model import ThreatModel
from textleak.core.training_plan import LocalSteps
from textleak.core.validation import problem
from textleak.core.writing import write_with

HEADER_KEY = "textleak"
Side = Annotated[int, Field(ge=1, le=MOST_PIXELS)]


class ImageRecipe(BaseModel):
    """What an image classifier is built from besides its name.

    Attributes:
        shape: channels, height and width of its input.
        classes: how many it tells apart.
        init: how random weights are drawn.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    shape: tuple[Side, Side, Side]
    classes: Classes
    init: str = "uniform"


class ModelRecipe(BaseModel):
    """How to load the public model again; every field is public knowledge."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    name: str
    weights: Literal["pretrained", "random"] = "pretrained"
    weights_seed: Seed = 0
    activation: str = "keep"
    adapter: str | None = None
    adapter_steps: int = Field(default=0, ge=0, le=MOST_STEPS)
    adapter_seed: Seed = 0
    fingerprint: str = ""
    image: ImageRecipe | None = None
    loss: LossOptions = LossOptions()
    feed: Feed = Feed()


class UpdateMetadata(BaseModel):
    """The public facts that travel with the gradients; a fact that is not granted is None.

    Attributes:
        task: what the client trained.
        threat_model: what the attacker is granted.
        batch_size: the number of sequences or images.
        lengths: tokens of each sequence, special tokens included.
        segments: tokens of each pair up to its second segment, the separator included.
        labels: class index per sequence or image, or the words under the masks, sequence by sequence.
        masked_positions: for each sequence the places that bore loss.
        model: how the client's model was loaded, when it was loaded by textleak.
        defences: what the client did before it shared, in the order in which it acted.
        local: the local steps behind a weight delta; None for the gradient of one step. The
            gradients of the update are then (weights before - weights after) / (rate * steps).
        privacy: what is proven of the defences, where anything is.
        weights_kept: the precision of the weights whose difference the tensors are, before less after;
            None where they are gradients. Each number then carries the rounding of its own weight.
        client_seeded: the client's chance (masks, dropout, noise) follows from a seed that was given for
            it, which is not told: it protects from nobody who guesses it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    task: TaskName | None = None
    threat_model: ThreatModel = ThreatModel()
    batch_size: int | None = None
    lengths: tuple[int, ...] | None = None
    segments: tuple[int, ...] | None = None
    labels: tuple[tuple[int | float, ...], ...] | None = None
    masked_positions: tuple[tuple[int, ...], ...] | None = None
    model: ModelRecipe | None = None
    defences: Annotated[tuple[str, ...], Field(max_length=MOST_DEFENCES)] = ()
    local: LocalSteps | None = None
    privacy: PrivacyGuarantee | None = None
    client_seeded: bool = False
    weights_kept: Literal["float64", "float32", "bfloat16", "float16"] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> UpdateMetadata:
        what = contradiction(self)
        if what is not None:
            raise ValueError(what)
        return self


@dataclass(frozen=True)
class SharedUpdate:
    """Named gradients of one training step, with the public facts about it.

    Attributes:
        gradients: parameter name to gradient, each of its parameter's shape.
        metadata: the public facts.
    """

    gradients: Mapping[str, Tensor]
    metadata: UpdateMetadata

    def save(self, path: str | Path) -> None:
        """Write one `.safetensors` file, metadata in its header; nothing is left half-written.

        Raises:
            UpdateError: the file cannot be written.
        """
        header = {HEADER_KEY: self.metadata.model_dump_json()}
        tensors = {name: tensor.detach().contiguous() for name, tensor in self.gradients.items()}
        try:
            write_with(path, lambda partial: save_file(tensors, partial, metadata=header))
        except SafetensorError as error:
            raise UpdateError(f"cannot write {str(path)!r}: {_reason(error)}") from error
        except ConfigError as error:
            raise UpdateError(str(error)) from error

    @classmethod
    def load(cls, path: str | Path) -> SharedUpdate:
        """Read an update that `save` wrote, or any safetensors file of named gradients.

        A file without textleak's header has empty metadata: the caller states what is granted.

        Raises:
            UpdateError: the file is missing, truncated, not safetensors, or its header is not valid.
        """
        if not is_file(path):
            raise UpdateError(f"no update at {str(path)!r}: expected a .safetensors file")
        try:
            with safe_open(str(path), framework="pt") as file:
                header = (file.metadata() or {}).get(HEADER_KEY)
                gradients = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise UpdateError(f"{str(path)!r} is not a whole safetensors file: {error}") from error
        if not gradients:
            raise UpdateError(f"{str(path)!r} holds no gradients")
        try:
            metadata = UpdateMetadata.model_validate_json(header) if header else UpdateMetadata()
        except ValidationError as error:
            what = problem(error, UpdateMetadata)[1]
            raise UpdateError(f"the header of {str(path)!r} is not valid: {what}") from error
        return cls(gradients, metadata)


def _reason(error: Exception) -> str:
    """Why the library that writes tensors could not; it says so in words of its own only."""
    text = str(error)
    full = "No space left on device"
    return full if full in text else "the tensors cannot be written"


def check_shareable(update: SharedUpdate) -> SharedUpdate:
    """Return what a client is about to share.

    Raises:
        DataError: it is not finite: nothing can be learnt from it, and nothing told of its leakage.
    """
    for name, gradient in update.gradients.items():
        if not bool(torch.isfinite(gradient).all()):
            raise DataError(
                f"what the client would share is not finite (at {name!r}): its training diverged, "
                "or the noise of a defence is too strong"
            )
    return update


def shared_names(parameters: Iterable[str], threat_model: ThreatModel) -> list[str]:
    """The parameters whose gradients the threat model shares.

    Raises:
        ConfigError: there are none.
    """
    names = [name for name in parameters if threat_model.shares(name)]
    if not names:
        patterns = ", ".join(threat_model.shared)
        raise ConfigError(f"no parameter of the model matches the shared patterns {patterns!r}")
    return names
