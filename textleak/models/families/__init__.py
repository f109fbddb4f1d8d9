"""Model families: handles on the parts of a model, one short file each."""

from __future__ import annotations

from torch import nn
from transformers import PretrainedConfig

from textleak.errors import ModelError, unknown
from textleak.models.families.base import Family
from textleak.models.families.parts import Embeddings, Head, Layer, Norm, Projection, Table
from textleak.registry import Registry

FAMILIES: Registry[type[Family]] = Registry(
    "model family", {"bert": "textleak.models.families.bert:Bert"}
)


def family_class(config: PretrainedConfig) -> type[Family]:
    """The family of models with this configuration.

    Raises:
        ModelError: textleak cannot attack models of this family.
    """
    if config.model_type not in FAMILIES:
        raise ModelError(unknown("model family", config.model_type, FAMILIES))
    return FAMILIES.load(config.model_type)


def family_of(module: nn.Module) -> Family:
    """The handles on a loaded model; see `family_class`."""
    return family_class(module.config)(module)  # type: ignore[arg-type]


__all__ = [
    "FAMILIES",
    "Embeddings",
    "Family",
    "Head",
    "Layer",
    "Norm",
    "Projection",
    "Table",
    "family_class",
    "family_of",
]
