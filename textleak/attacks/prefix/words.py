"""The words of a causal batch, at every position where they can stand."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from textleak.attacks.prefix.states import PrefixStates
from textleak.attacks.prefix.tree import edge, outside
from textleak.core.bounds import Count
from textleak.core.errors import UpdateError
from textleak.evidence.spans import Span, row_span
from textleak.models.families.decoder import Decoder


class WordOptions(BaseModel):
    """Which words count as found.

    Attributes:
        edge: the residuals of true words end where the next is this many times as large. A list that
            is too long costs time, one that is too short a sentence.
        most: no residual above this is a word's. Of true words 6e-7 and less, of others 0.1 and more
            (SmolLM2-135M, eight sentences); under bfloat16 2e-2.
        noisy_edge: the same as `edge` where the update is noisy.
        noisy_most: the same as `most`.
        generous: under noise the list has at least this many times as many words as the batch is
            thought to have prefixes; a word of a small gradient has no gap behind it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    edge: float = Field(default=10.0, gt=1)
    most: float = Field(default=0.05, gt=0, lt=1)
    noisy_edge: float = Field(default=1.5, gt=1)
    noisy_most: float = Field(default=0.5, gt=0, lt=1)
    generous: Count = 2


class Words:
    """Which words the update holds, by position where the model has a table of positions.

    Args:
        family: handles on the public model.
        states: runs it.
        shared: the update's gradients.
        options: which words count.
        prefixes: how many prefixes the batch is thought to have.

    Raises:
        UpdateError: no shared gradient shows words.
    """

    def __init__(
        self,
        family: Decoder,
        states: PrefixStates,
        shared: Mapping[str, Tensor],
        options: WordOptions,
        prefixes: int = 0,
    ) -> None:
        self._family, self._states, self._options = family, states, options
        self._prefixes = prefixes
        self._everything = torch.arange(len(family.embeddings.words.parameter))
        gradients = family.parts.words.gradients(shared)
        self._span: Span | None = row_span(gradients) if gradients else None
        if self._span is not None and not len(self._span.complement):
            self._span = None
        table = family.embeddings.words.of(shared)
        self._rows: Tensor | None = None
        if table is not None and not family.head.tied:
            self._rows = table.any(1).nonzero().flatten()
        if self._span is None and self._rows is None:
            raise UpdateError(
                "no shared gradient shows words: the first block's input projections are not shared or "
                "their inputs fill the width, and the word table is tied or not shared"
            )
        self._known: dict[int, Tensor] = {}
        self._placed = self._span is not None and family.embeddings.positions is not None
        self._seen: set[int] = set()

    @property
    def found(self) -> int:
        """How many words there are."""
        return len(self._seen)

    def at(self, position: int) -> Tensor:
        """The words that may stand at a position, (W,)."""
        if position >= self._family.max_length:
            return self._everything[:0]
        key = position if self._placed else 0
        if key not in self._known:
            self._known[key] = self._search(key)
            self._seen.update(self._known[key].tolist())
        return self._known[key]

    def _search(self, position: int) -> Tensor:
        pool = self._everything if self._rows is None else self._rows
        if self._span is None:
            return pool
        inputs = self._states.alone(self._family.parts.words, pool, position)
        residual = outside(self._span, inputs)
        options = self._options
        if not self._span.noisy:
            return pool[residual < edge(residual, options.edge, options.most)]
        clear = int((residual < edge(residual, options.noisy_edge, options.noisy_most)).sum())
        count = max(clear, min(options.generous * self._prefixes, len(pool)))
        return pool[residual.argsort()[:count]]
