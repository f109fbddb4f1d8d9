"""What a run assumed: the part of its record that is known before it starts."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic import BaseModel, ConfigDict

from textleak.core.feed import Feed
from textleak.core.loss import LossOptions
from textleak.core.privacy import PrivacyGuarantee
from textleak.core.task_names import TEXT_TASKS
from textleak.core.threat_model import ThreatModel

_PACKAGES = ("textleak", "torch", "transformers", "tokenizers", "numpy")


class UpdateSource(BaseModel):
    """What an update from elsewhere is, and how it was read: names mapped, weights subtracted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    notes: tuple[str, ...] = ()


class RunHeader(BaseModel):
    """The head of a run's record, printed with every result and stored in every file.

    `client_seeded` says that the client's chance follows from a seed; `client_seed` is that seed, where
    the run made the update itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: str
    attack: str
    options: dict[str, Any] = {}
    model: str
    family: str = ""  # as its configuration names it; none of an image model
    weights: str
    weights_seed: int = 0
    activation: str
    adapter: str | None = None
    adapter_steps: int = 0
    adapter_seed: int = 0
    task: str
    loss: LossOptions = LossOptions()
    feed: Feed = Feed()
    threat_model: ThreatModel
    defences: tuple[str, ...] = ()
    privacy: PrivacyGuarantee | None = None
    seed: int = 0
    client_seeded: bool = False
    client_seed: int | None = None
    model_notes: tuple[str, ...] = ()
    update: UpdateSource | None = None
    versions: dict[str, str] = {}

    @property
    def modality(self) -> str:
        """What the run is of: `text` or `image`."""
        return "text" if self.task in TEXT_TASKS else "image"

    @property
    def chance(self) -> str | None:
        """What is said of the client's chance where it follows from a seed that was given."""
        return seeded_chance(self.client_seed) if self.client_seeded else None

    @property
    def title(self) -> str:
        """One line: the attack, the model, the task."""
        swapped = "" if self.activation == "keep" else f", {self.activation}"
        model = self.model if self.adapter is None else f"{self.model} with {self.trained}"
        return f"{self.attack} on {model} ({self.task}, {self.weights} weights{swapped})"

    @property
    def trained(self) -> str:
        """The adapter, and what it was trained before."""
        steps = f" after {self.adapter_steps} public steps" if self.adapter_steps else ""
        return f"{self.adapter}{steps}"


def seeded_chance(seed: int | None) -> str:
    """What is said of a client whose chance follows from `seed`, or from one that is not told.

    >>> seeded_chance(3)
    'draws from seed 3: masks, dropout and noise from a known seed protect nothing'
    """
    which = "a seed" if seed is None else f"seed {seed}"
    return f"draws from {which}: masks, dropout and noise from a known seed protect nothing"


def versions() -> dict[str, str]:
    """The versions of everything that a result can depend on."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
