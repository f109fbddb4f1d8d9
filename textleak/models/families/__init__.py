"""Model families: handles on the parts of a model, one short file each."""

from __future__ import annotations

from torch import nn
from transformers import PretrainedConfig

from textleak.core.errors import ModelError
from textleak.core.registry import Registry
from textleak.models.families.base import Family
from textleak.models.families.generic import Generic
from textleak.models.families.parts import Embeddings, Head, Layer, Norm, Projection, Table

_DECODERS = (
    "cohere falcon gemma gemma2 gemma3_text gpt2 gpt_neox gptj granite llama mistral olmo2 opt phi phi3 "
    "qwen2 qwen3 smollm3 stablelm starcoder2"
)
FAMILIES: Registry[type[Family]] = Registry(
    "model family",
    {
        "bert": "textleak.models.families.bert:Bert",
        "roberta": "textleak.models.families.roberta:Roberta",
        "xlm-roberta": "textleak.models.families.roberta:Roberta",
        "camembert": "textleak.models.families.roberta:Roberta",
        "distilbert": "textleak.models.families.distilbert:DistilBert",
        "electra": "textleak.models.families.electra:Electra",
        "albert": "textleak.models.families.albert:Albert",
        "mpnet": "textleak.models.families.mpnet:MPNet",
        "deberta-v2": "textleak.models.families.deberta:DebertaV2",
        "modernbert": "textleak.models.families.modernbert:ModernBert",
        **dict.fromkeys(_DECODERS.split(), "textleak.models.families.decoder:Decoder"),
    },
    "textleak.families",
)


def family_class(config: PretrainedConfig) -> type[Family]:
    """The family of models with this configuration; `Generic` where it has no handles of its own.

    Raises:
        ModelError: it is no model of one sequence of tokens.
    """
    if config.is_encoder_decoder:
        raise ModelError(
            f"{config.model_type!r} is an encoder with a decoder: expected one of either, as "
            f"{', '.join(FAMILIES)}"
        )
    if config.model_type not in FAMILIES:
        return Generic
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
