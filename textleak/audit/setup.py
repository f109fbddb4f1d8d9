"""From a configuration to the things that it names: the model, the attack, the private text.

The commands and the grid both build their runs here, so that a run means the same in either.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from textleak.attacks import ATTACKS
from textleak.attacks.building import built
from textleak.audit.each import NO_WATCHER, AttackCall, Watcher
from textleak.audit.header import assumed
from textleak.audit.result import Audit
from textleak.audit.run import PrivateText, audit_client
from textleak.audit.score import frame_of
from textleak.client import Client, ClientOptions
from textleak.client.reading import in_batches, read_sentences
from textleak.core.config import RunConfig
from textleak.core.cores import threads_for
from textleak.core.errors import ConfigError, DataError, unknown
from textleak.defences import Defences
from textleak.models import ModelOptions, TextModel, load_model
from textleak.models.loading import default_task
from textleak.results.header import RunHeader
from textleak.results.pieces import Pieces
from textleak.tasks import TASKS
from textleak.updates import Fitted

DEVICES = ("cpu", "cuda", "mps", "xpu")  # those that hold numbers and run what attacks need


def private_text(config: RunConfig) -> list[PrivateText]:
    """The private sentences of `config` in batches, one update each.

    Raises:
        DataError: there are none, from two places, or labels that do not match in number.
    """
    if config.sentences and config.file:
        raise DataError("give sentences or a file of them, not both")
    if not config.sentences and not config.file:
        raise DataError('no private text: give --sentence "…" or --file FILE')
    labels = None if config.classes is None else list(config.classes)
    if config.file:
        sentences, from_file = read_sentences(
            config.file, TASKS.load(config.task).wrong_label, pairs=config.pair
        )
        labels = labels or from_file
    else:
        sentences = list(config.sentences)
    if not TASKS.load(config.task).labelled:
        labels = None
    if labels is not None and len(labels) != len(sentences):
        raise DataError(f"expected {len(sentences)} classes, one a sentence, got {len(labels)}")
    for number, sentence in enumerate(sentences, 1):
        if not sentence.strip():
            raise DataError(f"sentence {number} is empty: expected at least one word")
    return [PrivateText(*batch) for batch in in_batches(sentences, labels, config.batch_size)]


def build_attack(config: RunConfig) -> Any:
    """The attack of `config` with its options.

    Raises:
        ConfigError: no such attack, an unknown option, or a value that is not valid.
    """
    attack_class = ATTACKS.load(config.attack)
    schema = attack_class.options_class
    options = dict(config.options)
    if config.labels is not None and "labels" in schema.model_fields:
        options["labels"] = config.labels
    elif config.labels not in (None, "known"):
        raise ConfigError(f"{config.attack} does not choose how labels are found")
    return built(ATTACKS, config.attack, options)


def settled(config: RunConfig) -> RunConfig:
    """`config` with the task that its model is trained for, where none is given; and with `auto`.

    A decoder's text is read by `auto` where no attack is named: exactly, in seconds.

    Raises:
        ModelError: there is no such model.
    """
    given = config.model_fields_set
    if "task" in given:
        return config
    task = default_task(config.model)
    named = {"attack": "auto"} if task == "causal" and "attack" not in given else {}
    return config.merged({"task": task, **named})


def open_model(config: RunConfig) -> TextModel:
    """Load the model of `config`, with the threads that it asks for."""
    options = model_options(config)
    torch.set_num_threads(threads_for(config.threads))
    return load_model(options, config.task)


def model_options(config: RunConfig) -> ModelOptions:
    """Which model `config` names; raise ConfigError if its device is not here."""
    return ModelOptions(
        name=config.model,
        weights=config.weights,
        weights_seed=config.weights_seed,
        activation=config.activation,
        num_labels=config.num_labels,
        adapter=config.adapter,
        adapter_steps=config.adapter_steps,
        adapter_seed=config.adapter_seed,
        device=checked_device(config.device),
        loss=config.loss,
        feed=config.feed,
    )


def checked_device(name: str) -> str:
    """Return `name`; raise ConfigError if there is no such device here."""
    if name.partition(":")[0] not in DEVICES:
        raise ConfigError(unknown("device", name, DEVICES))
    try:
        torch.zeros(1, device=name).tolist()
    except (RuntimeError, AssertionError, ImportError, NotImplementedError) as error:
        raise ConfigError(f"no device {name!r} here: torch finds none") from error
    return name


def client_options(config: RunConfig) -> ClientOptions:
    """How the client of `config` trains."""
    return ClientOptions(
        mask_rate=config.mask_rate, dropout=config.dropout, seed=config.client_seed
    )


def build_defences(config: RunConfig) -> Defences:
    """The defences of `config`; raise ConfigError if one is not valid."""
    return Defences.parse(config.stated)


def client_of(config: RunConfig, model: TextModel) -> Client:
    """The client of `config`."""
    return Client(model, client_options(config), config.threat_model, build_defences(config))


def run_audit(
    config: RunConfig,
    model: TextModel,
    attack: AttackCall,
    batches: Sequence[PrivateText],
    watcher: Watcher = NO_WATCHER,
) -> Audit:
    """Audit `batches` as `config` says; see `audit_client`."""
    return audit_client(
        model,
        attack,
        batches,
        options=client_options(config),
        threat_model=config.threat_model,
        defences=build_defences(config),
        seed=config.seed,
        budget=config.budget,
        determined=config.determined,
        watcher=watcher,
    )


def run_header(
    command: str,
    config: RunConfig,
    model: TextModel,
    attack: Any,
    received: Fitted | None = None,
) -> RunHeader:
    """What a run of `attack` assumes.

    Args:
        command: the command that runs it.
        config: the run's configuration.
        model: the public model.
        attack: the attack with its options.
        received: an update from elsewhere; the client of `config` makes its own where None.
    """
    recipe = model.recipe
    return RunHeader(
        **assumed(command, config, attack, received),
        model=recipe.name,
        family=str(model.family.config.model_type),
        weights=recipe.weights,
        weights_seed=recipe.weights_seed,
        activation=recipe.activation,
        adapter=recipe.adapter,
        adapter_steps=recipe.adapter_steps,
        adapter_seed=recipe.adapter_seed,
        task=model.task.name,
        loss=recipe.loss,
        feed=recipe.feed,
        model_notes=model.notes,
    )


def model_pieces(model: TextModel) -> Pieces:
    """The names of the model's tokens."""
    tokenizer = model.tokenizer
    return Pieces(lambda token: str(tokenizer.convert_ids_to_tokens(token)), frame_of(model))
