"""The files that an update is read from: one, or two checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from textleak.core.config import RunConfig
from textleak.core.errors import ConfigError, UpdateError
from textleak.core.paths import is_folder
from textleak.core.update import SharedUpdate
from textleak.models import TextModel
from textleak.updates import Fitted, Stored, between, fitted, read

from .received import check_same_model, with_shared

if TYPE_CHECKING:
    from textleak.vision.models import ImageModel


@dataclass(frozen=True)
class Files:
    """What was read.

    Attributes:
        update: the update, or the weights after training.
        before: the weights before it, where they were given.
        checkpoints: `update` holds weights.
    """

    update: Stored
    before: Stored | None = None
    checkpoints: bool = False


def read_files(update: Path | None, before: Path | None, after: Path | None) -> Files:
    """An update, or one checkpoint or two.

    Raises:
        ConfigError: not one of both.
        UpdateError: a file cannot be read.
    """
    if update is not None and (before or after):
        raise ConfigError("give an update, or --before and --after, not both")
    if update is not None:
        return Files(read(update))
    if after is None:
        raise ConfigError("expected an update, or --before A --after B: two checkpoints")
    ended = read(after)
    return Files(ended, None if before is None else read(before), checkpoints=True)


def begun_at(config: RunConfig, before: Path | None) -> RunConfig:
    """`config` with the model in the folder `before`, where it names none."""
    if before is None or not is_folder(before) or "model" in config.model_fields_set:
        return config
    return config.merged({"model": str(before)}) if (before / "config.json").is_file() else config


def fitted_to(model: TextModel | ImageModel, files: Files, stored: Stored) -> Fitted:
    """The update under the names of `model`, with what the user states.

    Args:
        model: the public model.
        files: what was read.
        stored: its update, gaps in its facts filled.

    Raises:
        UpdateError: it does not fit the model.
        ModelError: it was made with another one.
    """
    two = files.checkpoints
    found = between(files.before, stored, model) if two else fitted(stored, model)
    check_same_model(found.update, model)
    update: SharedUpdate = with_shared(found.update, model)
    if not update.gradients:
        raise UpdateError(f"{stored.source!r} holds nothing to attack")
    return Fitted(update, found.kind, found.notes)
