"""An update as it was received: what its file says, what the user states, and whether they fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from textleak.audit import PrivateText
from textleak.client.reading import read_sentences
from textleak.core.config import RunConfig
from textleak.core.consistency import check_fits, check_no_weights
from textleak.core.errors import ConfigError, DataError, ModelError, UpdateError
from textleak.core.feed import Feed
from textleak.core.image_config import ImageRunConfig
from textleak.core.paths import is_folder
from textleak.core.update import SharedUpdate, UpdateMetadata, shared_names
from textleak.core.validation import MOST, problem
from textleak.defences import Defences
from textleak.models import TextModel
from textleak.models.loading import KNOWN
from textleak.tasks import TASKS, TEXT_TASKS
from textleak.updates import Stored

if TYPE_CHECKING:
    from textleak.vision.models import ImageModel

_RECIPE = {"model": "name", "weights": "weights", "weights_seed": "weights_seed"}
_RECIPE |= {key: key for key in ("activation", "adapter", "adapter_steps", "adapter_seed")}
_FEED = {"pair": "pairs"} | {key: key for key in ("packed", "special_tokens", "max_length")}
_LOSS = {"loss_reduction": "reduction", "label_smoothing": "smoothing", "class_weights": "weights"}
_LOSS |= {"loss_function": "function"}
# transformers' names of the last layer of a head over whole sequences or tokens.
LAST_LAYERS = ("classifier.weight", "classifier.out_proj.weight")
_CLIENTS = ("sentences", "file", "classes", "batch_size", "mask_rate", "share")


def with_stated(stored: Stored, config: RunConfig, lengths: str | None) -> Stored:
    """What was read, the gaps in its facts filled with what the user states.

    Raises:
        UpdateError: the file contradicts what is stated.
        ConfigError: `lengths` is not a list of whole numbers.
    """
    path = stored.source
    granted = stored.metadata
    stated: dict[str, object] = {}
    if granted.task is None:
        if "task" not in config.model_fields_set:
            raise UpdateError(f"{path!r} does not say its task: give --task {'|'.join(TEXT_TASKS)}")
        stated["task"] = config.task
    elif granted.task == "image":
        raise UpdateError(f"{path!r} was made with pictures: textleak vision invert {path}")
    elif "task" in config.model_fields_set and config.task != granted.task:
        raise UpdateError(f"{path!r} was made for {granted.task}, not for {config.task}")
    counts = _lengths(lengths)
    if counts is not None:
        if granted.lengths not in (None, counts):
            raise UpdateError(f"{path!r} states the lengths {granted.lengths}, not {counts}")
        if granted.batch_size not in (None, len(counts)):
            raise UpdateError(
                f"{path!r} states {granted.batch_size} sequences, --lengths {len(counts)}"
            )
        stated |= {"lengths": counts, "batch_size": len(counts)}
    if config.labels == "known" and granted.labels is None:
        raise UpdateError(f"{path!r} grants no labels: --labels joint or analytic")
    stated |= training(path, config, granted)
    try:
        facts = UpdateMetadata.model_validate({**dict(granted), **stated})
    except ValidationError as error:
        raise UpdateError(problem(error, UpdateMetadata)[1]) from error
    return replace(stored, metadata=facts)


def _lengths(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        what = f"--lengths expects whole numbers as 12,9, got {text[:MOST]!r}"
        raise ConfigError(what) from error


def training(
    path: str, config: RunConfig | ImageRunConfig, granted: UpdateMetadata
) -> dict[str, object]:
    """What `config` states of the client's training, where the file itself does not.

    Raises:
        UpdateError: the file says otherwise.
    """
    if not config.model_fields_set & {"defences", "protocol", "dropout"}:
        return {}
    defences = Defences.parse(config.stated)
    assumed = granted.threat_model.model_copy(update={"dropout": config.dropout})
    assumed = defences.assumed(assumed)
    if granted == UpdateMetadata():
        return {"defences": defences.specs, "threat_model": assumed}
    if defences.specs != granted.defences and (config.model_fields_set & {"defences", "protocol"}):
        made, said = (
            ", ".join(specs) or "no defence" for specs in (granted.defences, defences.specs)
        )
        raise UpdateError(f"{path!r} was made with {made}, the configuration says {said}")
    if assumed.dropout != granted.threat_model.dropout:
        made = "with" if granted.threat_model.dropout else "without"
        raise UpdateError(f"{path!r} was made {made} dropout, the configuration says otherwise")
    return {}


def unused(config: RunConfig) -> list[str]:
    """What `config` sets that only a client has use for, in a line; none where it sets nothing such."""
    given = [key for key in _CLIENTS if key in config.model_fields_set]
    return [f"not used here, the update has its own: {', '.join(given)}"] if given else []


def read_truth(path: Path | None, facts: UpdateMetadata) -> PrivateText | None:
    """The true sentences at `path`, with their classes if it has them.

    Raises:
        DataError: the file cannot be read, or has another number of sentences than the batch.
    """
    if path is None:
        return None
    task = facts.task
    about = None if task is None else TASKS.load(task)
    feed = Feed() if facts.model is None else facts.model.feed
    sentences, labels = (
        read_sentences(path)
        if about is None
        else read_sentences(path, about.wrong_label, pairs=feed.pairs)
    )
    count = facts.batch_size
    if count is not None and count != len(sentences) and not feed.packed:
        raise DataError(f"{str(path)!r} has {len(sentences)} sentences, the update's batch {count}")
    return PrivateText(sentences, labels if about is not None and about.labelled else None)


def completed(config: RunConfig, stored: Stored) -> RunConfig:
    """`config` with the model, weights, activation and task of the update where not given.

    Raises:
        UpdateError: the model is to be loaded from disk or the Hub, and only the update names it.
    """
    granted = stored.metadata
    told: dict[str, object] = {"task": granted.task}
    if granted.model is not None:
        if granted.model.name not in KNOWN and "model" not in config.model_fields_set:
            named = granted.model.name
            named = repr(named if len(named) <= MOST else named[:MOST] + "…")
            raise UpdateError(
                f"the update names the model {named}; a file does not choose what is loaded from disk "
                f"or the Hub: if you mean it, give --model {named}"
            )
        adapter = granted.model.adapter
        if adapter is not None and is_folder(adapter) and "adapter" not in config.model_fields_set:
            raise UpdateError(
                f"the update names the adapter {adapter[:MOST]!r}; a file does not choose what is loaded "
                "from disk: if you mean it, give --adapter"
            )
        function = granted.model.loss.function
        if function is not None and "loss_function" not in config.model_fields_set:
            raise UpdateError(
                f"the update names the loss {function!r}; a file does not choose what code is run: if you "
                f"mean it, give --loss {function}"
            )
        told |= {key: getattr(granted.model, name) for key, name in _RECIPE.items()}
        told |= {key: getattr(granted.model.feed, name) for key, name in _FEED.items()}
        told |= {key: getattr(granted.model.loss, name) for key, name in _LOSS.items()}
    heads = [tensor for name, tensor in stored.tensors.items() if _last_layer(name)]
    if len(heads) == 1 and heads[0].dim() == 2:
        told["num_labels"] = int(heads[0].shape[0])
    missing = {key: value for key, value in told.items() if key not in config.model_fields_set}
    return config.merged(missing)


def _last_layer(name: str) -> bool:
    """Whether a tensor is a head's last one, whatever wraps the model."""
    return any(name == last or name.endswith(f".{last}") for last in LAST_LAYERS)


def check_same_model(update: SharedUpdate, model: TextModel | ImageModel) -> None:
    """Refuse an update that was made with another model.

    Raises:
        UpdateError: a gradient fits no parameter of the model, is not finite, or is a weight.
        ModelError: the update names other weights or another activation than the model's.
    """
    check_fits(update, model.parameters)
    check_no_weights(update, model.parameters)
    theirs, ours = update.metadata.model, model.recipe
    if theirs is None or ours is None:
        return
    if theirs.activation != ours.activation:
        raise ModelError(
            f"the update was made with activation {theirs.activation}, not {ours.activation}"
        )
    if theirs.feed != ours.feed:
        raise ModelError(
            f"the update was fed otherwise ({theirs.feed!r}) than is stated ({ours.feed!r})"
        )
    if theirs.loss != ours.loss:
        raise ModelError(
            f"the update was made with another loss ({theirs.loss!r}) than is stated ({ours.loss!r})"
        )
    if theirs.fingerprint and theirs.fingerprint != ours.fingerprint:
        raise ModelError(
            f"the update was made with other weights ({theirs.name}, {theirs.weights}, seed "
            f"{theirs.weights_seed}, fingerprint {theirs.fingerprint}) than {ours.name}'s "
            f"({ours.weights}, seed {ours.weights_seed}, fingerprint {ours.fingerprint})"
        )


def with_shared(update: SharedUpdate, model: TextModel | ImageModel) -> SharedUpdate:
    """`update` with what its file lacks of the model among what is withheld.

    Raises:
        UpdateError: it holds what its own header does not share.
    """
    granted = update.metadata.threat_model
    plan = Defences.parse(update.metadata.defences).plan(shared_names(model.parameters, granted))
    more = sorted(update.gradients.keys() - set(plan.names))
    if more:
        raise UpdateError(f"the update's header does not share {more[0]!r}, which it holds")
    lacking = len(plan.names) - len(update.gradients)
    if not lacking:
        return update
    withheld = (*granted.withheld, f"{lacking} of {len(model.parameters)}, not in the file")
    told = granted.model_copy(update={"withheld": withheld})
    return replace(update, metadata=update.metadata.model_copy(update={"threat_model": told}))
