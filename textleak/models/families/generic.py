"""Any other model of transformers: what can be asked of all of them, enough to match gradients."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPooling

from textleak.core.errors import ModelError
from textleak.models.families.base import Family
from textleak.models.families.parts import Embeddings, Head, Layer


class _Made(BaseModelOutputWithPooling):
    """What a body returns; whatever else a head asks of it is None."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("_"):
            raise AttributeError(name)


class Generic(Family):
    """Word embeddings in, logits out: the head is run on given states by standing in for the body.

    Layers and positions are not known, so what needs them is not read; rows may be shared between
    sequences, so candidates are evaluated one at a time.
    """

    at_once = 1

    def __init__(self, module: nn.Module) -> None:
        super().__init__(module)
        kind = str(self.config.model_type)
        if self.body is module or self.module.get_input_embeddings() is None:
            raise ModelError(f"models of the family {kind!r} do not say where their words enter")
        if "inputs_embeds" not in inspect.signature(type(self.body).forward).parameters:
            raise ModelError(f"models of the family {kind!r} do not take embeddings as input")

    @property
    def embeddings(self) -> Embeddings:
        """The word table."""
        return Embeddings(self.table(self.module.get_input_embeddings()))

    def layer(self, index: int) -> Layer:
        """Not known."""
        raise ModelError(f"the layers of the family {self.config.model_type!r} are not known")

    @property
    def head(self) -> Head:
        """The output embeddings, or the last linear layer."""
        words = self.module.get_output_embeddings()
        if words is not None:
            return self.word_head(words, None)
        inside = set(self.body.modules())
        last = [p for p in self.module.modules() if isinstance(p, nn.Linear) and p not in inside]
        if not last:
            raise ModelError(f"the family {self.config.model_type!r} has no linear head")
        return Head(self.projection(last[-1]))

    def word_logits(self, states: Tensor) -> Tensor:
        """The head alone, on states as if the body had made them."""
        return self._headed(states[None])[0]

    def class_logits(self, states: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """The head alone; what the body pools is pooled."""
        return self._headed(states, attention_mask)

    def token_logits(self, states: Tensor) -> Tensor:
        """The head alone."""
        return self._headed(states[None])[0]

    def _headed(self, states: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        with self._standing_in(states):
            logits: Tensor = self.module(inputs_embeds=states, attention_mask=attention_mask).logits
        return logits

    @contextmanager
    def _standing_in(self, states: Tensor) -> Iterator[None]:
        """Let the body return `states` whatever it is given; it is itself again on every way out."""
        pooler = getattr(self.body, "pooler", None)

        def forward(*_: Any, **__: Any) -> _Made:
            pooled = None if pooler is None else pooler(states)
            return _Made(last_hidden_state=states, pooler_output=pooled)

        self.body.__dict__["forward"] = forward
        try:
            yield
        finally:
            del self.body.__dict__["forward"]
