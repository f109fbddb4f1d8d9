"""One adapter a model family: where its embeddings, encoder and head sit."""

from __future__ import annotations

from typing import Protocol, cast

from torch import Tensor, nn

from textleak.errors import ModelError, unknown
from textleak.registry import Registry


class FamilyAdapter(Protocol):
    """Names of parameters and the two halves of the forward pass of one model family."""

    word_table: str
    position_table: str
    head_dense: str
    decoder_bias: str
    classifier_bias: str

    def encode(self, module: nn.Module, **inputs: Tensor) -> Tensor:
        """Hidden states (N, T, H) of the encoder for `input_ids` or `inputs_embeds`."""

    def head(self, module: nn.Module, states: Tensor, task: str) -> Tensor:
        """Logits (n, V) of masked-LM states (n, H); or logits (N, C) of encoded (N, T, H)."""


class BertAdapter:
    """BERT: `bert.embeddings`, `bert.encoder`, `cls` or `bert.pooler` with `classifier`."""

    word_table = "bert.embeddings.word_embeddings.weight"
    position_table = "bert.embeddings.position_embeddings.weight"
    head_dense = "cls.predictions.transform.dense.weight"
    decoder_bias = "cls.predictions.bias"
    classifier_bias = "classifier.bias"

    def encode(self, module: nn.Module, **inputs: Tensor) -> Tensor:
        """Hidden states (N, T, H) of the encoder for `input_ids` or `inputs_embeds`."""
        bert = cast(nn.Module, module.bert)
        return cast(Tensor, bert(**inputs).last_hidden_state)

    def head(self, module: nn.Module, states: Tensor, task: str) -> Tensor:
        """Logits (n, V) of masked-LM states (n, H); or logits (N, C) of encoded (N, T, H)."""
        if task == "mlm":
            return cast(Tensor, cast(nn.Module, module.cls)(states))
        pooler = cast(nn.Module, cast(nn.Module, module.bert).pooler)
        pooled = cast(nn.Module, module.dropout)(pooler(states))
        return cast(Tensor, cast(nn.Module, module.classifier)(pooled))


FAMILIES: Registry[type[FamilyAdapter]] = Registry(
    "model family", {"bert": "textleak.models.families:BertAdapter"}
)


def family_adapter(model_type: str) -> FamilyAdapter:
    """The adapter of the family called `model_type` (a transformers configuration's name).

    Raises:
        ModelError: textleak has no adapter for this family.
    """
    if model_type not in FAMILIES:
        raise ModelError(unknown("model family", model_type, FAMILIES))
    return FAMILIES.load(model_type)()
