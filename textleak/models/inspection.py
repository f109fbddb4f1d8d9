"""What can be known of a model before it is attacked, at little cost: to check what depends on it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from textleak.core.paths import is_folder
from textleak.models.activations import check_activation
from textleak.models.adapters import attach
from textleak.models.families import Family, family_class, family_of
from textleak.models.loading import (
    KNOWN,
    ModelOptions,
    auto_class,
    load_model,
    read_source,
    source_of,
)
from textleak.tasks import text_task


@dataclass(frozen=True)
class ModelFacts:
    """A model without its weights.

    Attributes:
        tokenizer: its tokenizer.
        parameters: how many values each trainable parameter holds, by name.
        encoder: how many of them are not in embedding tables.
        max_length: the most tokens a sequence may have, special tokens included.
        num_labels: classes of its classification head.
    """

    tokenizer: PreTrainedTokenizerBase
    parameters: dict[str, int]
    encoder: int
    max_length: int
    num_labels: int


def inspect_model(options: ModelOptions, task: str) -> ModelFacts:
    """The facts of the model that `load_model` would give.

    Weights are loaded only where they come from a folder or the Hub, to know that they are there.

    Raises:
        ModelError: no such name, no weights to be had, or a family that textleak cannot attack.
        ConfigError: an unknown activation, or an adapter that is not written as one.
    """
    check_activation(options.activation)
    trained = options.adapter is not None and is_folder(options.adapter)
    if trained or (options.weights == "pretrained" and options.name not in KNOWN):
        model = load_model(options, task)
        return _facts(model.module, model.tokenizer, model.family)
    tokenizer, config = read_source(source_of(options.name), options)
    family_class(config)
    with torch.device("meta"):
        module = auto_class(text_task(task)).from_config(config, attn_implementation="eager")
        if options.adapter is not None:
            attach(module, options.adapter, options.adapter_seed)
    return _facts(module, tokenizer, family_of(module))


def _facts(module: nn.Module, tokenizer: PreTrainedTokenizerBase, family: Family) -> ModelFacts:
    parameters = {n: p.numel() for n, p in module.named_parameters() if p.requires_grad}
    parts = family.embeddings
    tables = {table.name for table in (parts.words, parts.positions) if table is not None}
    return ModelFacts(
        tokenizer=tokenizer,
        parameters=parameters,
        encoder=sum(count for name, count in parameters.items() if name not in tables),
        max_length=family.max_length,
        num_labels=int(module.config.num_labels),  # type: ignore[union-attr, arg-type]
    )
