"""Decoders (GPT-2, OPT, GPT-NeoX, Llama, Mistral, Qwen, Gemma, Phi and others) by what all have in common.

Exact recovery finds the parts of their blocks by watching a forward pass (`decoder_parts`), so that one
class serves them all; what differs, the head's scaling and the position tables, is asked of the
configuration and the module.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from textleak.core.errors import ModelError
from textleak.models.decoder_parts import DecoderParts, decoder_parts
from textleak.models.families.base import Family
from textleak.models.families.parts import Embeddings, Head, Layer, Table


class Decoder(Family):
    """A causal language model, with a head over words or classes."""

    causal = True

    @cached_property
    def parts(self) -> DecoderParts:
        """The probes of its blocks."""
        return decoder_parts(self.module)

    @cached_property
    def embeddings(self) -> Embeddings:
        """Words, and positions where they have a table."""
        words = self.body.get_input_embeddings()
        return Embeddings(words=self.table(words), positions=self._positions(words))

    def _positions(self, words: nn.Module) -> Table | None:
        """The embedding beside the words' that has a row for every position, and OPT's two more."""
        longest = int(self.config.max_position_embeddings)
        for module in self.body.modules():
            if isinstance(module, nn.Embedding) and module is not words:
                first = len(module.weight) - longest
                if 0 <= first <= 2:
                    return self.table(module, first)
        return None

    def layer(self, index: int) -> Layer:
        """Blocks are read by their probes, see `parts`.

        Raises:
            ModelError: always.
        """
        raise ModelError("a decoder's blocks are read by their probes, not as an encoder's layers")

    @property
    def head(self) -> Head:
        """The output projection."""
        words: Any = self.module.get_output_embeddings()
        if words is None:
            return Head(self.projection(self.module.score))
        tied = words.weight is self.body.get_input_embeddings().weight
        return Head(output=self.projection(words), tied=tied)

    def encode(
        self,
        *,
        input_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_types: Tensor | None = None,
    ) -> Tensor:
        """Last hidden states (N, T, H); positions count from the first token."""
        given = input_ids if input_ids is not None else inputs_embeds
        assert given is not None
        places = torch.arange(given.shape[1], device=given.device).expand(given.shape[:2])
        states: Tensor = self.body(
            input_ids=input_ids,
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=places,
            use_cache=False,
        ).last_hidden_state
        return states

    def word_logits(self, states: Tensor) -> Tensor:
        """Through the head, scaled or capped as the family does (Cohere, Granite, Gemma 2)."""
        logits: Tensor = self.module.get_output_embeddings()(states)
        logits = logits * (getattr(self.config, "logit_scale", None) or 1.0)
        logits = logits / (getattr(self.config, "logits_scaling", None) or 1.0)
        cap = getattr(self.config, "final_logit_softcapping", None)
        return logits if cap is None else cap * torch.tanh(logits / cap)

    def class_logits(self, states: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """The last token's state, classified."""
        scores: Tensor = self.module.score(states)  # (N, T, C)
        if attention_mask is None:
            return scores[:, -1]
        last = attention_mask.sum(1).long() - 1
        return scores[torch.arange(len(scores), device=scores.device), last]
