"""An update as it was received: what its file says, what the user states, and whether they fit."""

from __future__ import annotations

from pathlib import Path

from textleak.audit import PrivateText
from textleak.client.reading import read_sentences
from textleak.config import RunConfig
from textleak.errors import ConfigError, DataError, ModelError, UpdateError
from textleak.models import TextModel
from textleak.update import SharedUpdate, UpdateMetadata, check_fits

_RECIPE = {"model": "name", "weights": "weights", "weights_seed": "weights_seed"}
_RECIPE["activation"] = "activation"


def read_update(path: Path, config: RunConfig, lengths: str | None) -> SharedUpdate:
    """The update at `path`, its gaps filled with what the user states.

    Raises:
        UpdateError: the file cannot be used, or contradicts what is stated.
        ConfigError: `lengths` is not a list of whole numbers.
    """
    update = SharedUpdate.load(path)
    granted = update.metadata
    stated: dict[str, object] = {}
    if granted.task is None:
        if "task" not in config.model_fields_set:
            raise UpdateError(
                f"{str(path)!r} does not say its task: give --task mlm|classification"
            )
        stated["task"] = config.task
    elif "task" in config.model_fields_set and config.task != granted.task:
        raise UpdateError(f"{str(path)!r} was made for {granted.task}, not for {config.task}")
    counts = _lengths(lengths)
    if counts is not None:
        if granted.lengths not in (None, counts):
            raise UpdateError(f"{str(path)!r} states the lengths {granted.lengths}, not {counts}")
        stated |= {"lengths": counts, "batch_size": len(counts)}
    elif granted.lengths is None and granted.model is None:
        raise UpdateError(f"{str(path)!r} does not say its lengths: give them, as --lengths 12,9")
    if config.labels == "known" and granted.labels is None:
        raise UpdateError(f"{str(path)!r} grants no labels: --labels joint or analytic")
    return SharedUpdate(update.gradients, granted.model_copy(update=stated))


def _lengths(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        counts = tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"--lengths expects whole numbers as 12,9, got {text!r}") from error
    if min(counts) < 1:
        raise ConfigError(f"--lengths expects numbers above 0, got {text!r}")
    return counts


def read_truth(path: Path | None, update: SharedUpdate) -> PrivateText | None:
    """The true sentences at `path`, with their classes if it has them.

    Raises:
        DataError: the file cannot be read, or has another number of sentences than the batch.
    """
    if path is None:
        return None
    sentences, labels = read_sentences(path)
    count = update.metadata.batch_size
    if count is not None and count != len(sentences):
        raise DataError(f"{str(path)!r} has {len(sentences)} sentences, the update's batch {count}")
    return PrivateText(sentences, labels if update.metadata.task == "classification" else None)


def completed(config: RunConfig, update: SharedUpdate) -> RunConfig:
    """`config` with the model, weights, activation and task of the update where not given."""
    granted: UpdateMetadata = update.metadata
    told: dict[str, object] = {"task": granted.task}
    if granted.model is not None:
        told |= {key: getattr(granted.model, name) for key, name in _RECIPE.items()}
    head = update.gradients.get("classifier.weight")
    if head is not None:
        told["num_labels"] = int(head.shape[0])
    missing = {key: value for key, value in told.items() if key not in config.model_fields_set}
    return config.merged(missing)


def check_same_model(update: SharedUpdate, model: TextModel) -> None:
    """Refuse an update that was made with another model.

    Raises:
        UpdateError: a gradient fits no parameter of the model, or is not finite.
        ModelError: the update names other weights or another activation than the model's.
    """
    check_fits(update, model.parameters)
    theirs, ours = update.metadata.model, model.recipe
    if theirs is None:
        return
    if theirs.activation != ours.activation:
        raise ModelError(
            f"the update was made with activation {theirs.activation}, not {ours.activation}"
        )
    if theirs.fingerprint and theirs.fingerprint != ours.fingerprint:
        raise ModelError(
            f"the update was made with other weights ({theirs.name}, {theirs.weights}, seed "
            f"{theirs.weights_seed}, fingerprint {theirs.fingerprint}) than {ours.name}'s "
            f"({ours.weights}, seed {ours.weights_seed}, fingerprint {ours.fingerprint})"
        )
