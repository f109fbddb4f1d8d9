"""The protocol of a model family.

How a family is written: subclass `Family`, name the parts of `self.body` and `self.module` through
`self.table`, `self.projection` and `self.norm`, and register the class under the configuration's
`model_type`. The helpers find parameter names by identity, so that a tied parameter has the one name
under which gradients are shared, and see a `Conv1D` for what it is. No other module knows a parameter
of the family by name:

    class Gpt2(Family):
        causal = True

        @property
        def embeddings(self) -> Embeddings:
            return Embeddings(self.table(self.body.wte), positions=self.table(self.body.wpe))

        def layer(self, index: int) -> Layer:
            part = self.body.h[index]
            query, key, value = self.fused(part.attn.c_attn, 3)
            ...

How it is used: `model.family.layer(0).query.of(update.gradients)` is the gradient (out, in) of the first
query projection, or None where it is not shared; `model.family.embeddings.positions` is None where the
family has no position table, and attacks that need one say so.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from textleak.models.families.parts import Embeddings, Head, Layer, Norm, Projection, Table
from textleak.models.inputs import inputs_of


class Family(ABC):
    """Handles on one loaded model; a subclass names its parts.

    Args:
        module: the transformers model, with the head of its task.

    Attributes:
        causal: a token sees only those before it.
        plain_attention: layer 0 attends by queries and keys, turned by `rotated` or with
            `relative_bias` added, and by nothing else.
        at_once: how many candidates one pass of the engine may hold; 1 where layers are called with
            rows that all sequences share (tables of relative positions), None for any number.
    """

    causal: ClassVar[bool] = False
    plain_attention: ClassVar[bool] = True
    at_once: ClassVar[int | None] = None

    def __init__(self, module: nn.Module) -> None:
        self.module: Any = module
        self.config: Any = module.config
        self.body: Any = getattr(module, str(module.base_model_prefix), module)
        self._names = {id(value): name for name, value in module.named_parameters()}

    @property
    @abstractmethod
    def embeddings(self) -> Embeddings:
        """What turns tokens into the first layer's input."""

    @abstractmethod
    def layer(self, index: int) -> Layer:
        """Layer `index`; layers that share their weights are the same handle."""

    @property
    @abstractmethod
    def head(self) -> Head:
        """What turns last hidden states into logits, whatever the task of the loaded head."""

    @property
    def layers(self) -> int:
        """How many layers there are."""
        return int(self.config.num_hidden_layers)

    @property
    def max_length(self) -> int:
        """The most tokens that a sequence may have, special tokens included."""
        positions = self.embeddings.positions
        return (
            int(self.config.max_position_embeddings) if positions is None else len(positions.rows)
        )

    @property
    def segments(self) -> int:
        """How many token types there are; 0 where tokens have none."""
        return int(getattr(self.config, "type_vocab_size", 0) or 0)

    def encode(
        self,
        *,
        input_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_types: Tensor | None = None,
    ) -> Tensor:
        """Last hidden states (N, T, H), from token ids (N, T) or word embeddings (N, T, E).

        Every sequence begins at the first position, and has position ids of its own.
        """
        given = input_ids if input_ids is not None else inputs_embeds
        inputs: dict[str, Any] = {"attention_mask": attention_mask}
        if token_types is not None:
            inputs["token_type_ids"] = token_types
        if input_ids is not None:
            inputs["input_ids"] = input_ids
        else:
            inputs["inputs_embeds"] = inputs_embeds
        if self._first is not None and given is not None:
            places = torch.arange(given.shape[1], device=given.device) + self._first
            inputs["position_ids"] = places.expand(given.shape[:2])
        states: Tensor = self.body(**inputs).last_hidden_state
        return states

    @cached_property
    def _first(self) -> int | None:
        """The row of a first position; None without a position table."""
        positions = self.embeddings.positions
        return None if positions is None else positions.first

    @abstractmethod
    def word_logits(self, states: Tensor) -> Tensor:
        """Logits over words (n, V) of states (n, H)."""

    @abstractmethod
    def class_logits(self, states: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Logits over classes (N, C) of whole sequences' states (N, T, H)."""

    def token_logits(self, states: Tensor) -> Tensor:
        """Logits over a token's classes (n, C) of states (n, H)."""
        logits: Tensor = self.module.classifier(self.module.dropout(states))
        return logits

    def relative_bias(self, offsets: Tensor) -> Tensor | None:
        """What layer 0 adds to scores of keys so many places (n,) behind their query, (heads, n)."""
        return None

    def rotated(self, vectors: Tensor, places: Tensor) -> Tensor:
        """Queries or keys (..., T, heads, d) turned to their places (T,); as they are by default."""
        return vectors

    def word_head(self, decoder: Any, dense: Any) -> Head:
        """The head over words whose last layer is `decoder` and whose first is `dense`, if another.

        What the decoder is given is seen while `word_logits` runs.
        """

        def transform(states: Tensor) -> Tensor:
            with inputs_of(decoder) as seen:
                self.word_logits(states)
            return seen[0]

        return Head(
            output=self.projection(decoder),
            dense=None if dense is None else self.projection(dense),
            transform=transform,
            tied=decoder.weight is self.module.get_input_embeddings().weight,
        )

    def table(self, layer: Any, first: int = 0) -> Table:
        """The handle on an embedding layer."""
        return Table(self._names[id(layer.weight)], layer.weight, first)

    def projection(self, layer: Any, part: tuple[int, int] | None = None) -> Projection:
        """The handle on a linear layer, or on some outputs of it."""
        bias = getattr(layer, "bias", None)
        return Projection(
            layer,
            self._names[id(layer.weight)],
            None if bias is None else self._names[id(bias)],
            type(layer).__name__ == "Conv1D",
            part,
        )

    def fused(self, layer: Any, parts: int) -> tuple[Projection, ...]:
        """The handles on `parts` projections of one width whose outputs one layer holds in turn."""
        stored = layer.weight.shape[1 if type(layer).__name__ == "Conv1D" else 0]
        width = stored // parts
        return tuple(self.projection(layer, (i * width, (i + 1) * width)) for i in range(parts))

    def norm(self, layer: Any, *, centred: bool = True, unit: float = 0.0) -> Norm:
        """The handle on a LayerNorm, or on an RMSNorm where it is not centred."""
        eps = getattr(layer, "eps", None) or getattr(layer, "variance_epsilon", None)
        return Norm(layer, float(eps or 0.0), centred, unit)
