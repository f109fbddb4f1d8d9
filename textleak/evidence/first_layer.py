"""Layer 0 of a BERT as plain tensors: the inputs of word-place pairs, and their attention."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from textleak.errors import UpdateError
from textleak.models.text_model import TextModel


@dataclass(frozen=True)
class FirstLayer:
    """The public weights that turn (word, place) into layer 0's queries, keys and values.

    Attributes:
        words: (V, H) word table as the model holds it; everything else is float64.
        places: (P, H) position table with the token type of a first segment added.
        scale: (H,) weight of the embeddings' LayerNorm.
        shift: (H,) its bias.
        eps: its epsilon.
        heads: the number of attention heads.
        weights: query, key and value projections, each (H, H).
        biases: theirs, each (H,).
        block: how many attention scores are held at once, whatever the sentences' number and length;
            16 MB of them.
    """

    words: Tensor
    places: Tensor
    scale: Tensor
    shift: Tensor
    eps: float
    heads: int
    weights: tuple[Tensor, Tensor, Tensor]
    biases: tuple[Tensor, Tensor, Tensor]
    block: int = 1 << 21

    @classmethod
    def of(cls, model: TextModel) -> FirstLayer:
        """Read the weights of `model`.

        Raises:
            UpdateError: its family has no position table, or no norm behind the embeddings.
        """
        parts, first = model.family.embeddings, model.family.layer(0)
        if parts.positions is None or parts.norm is None:
            raise UpdateError(
                f"layer 0 of {type(model.family).__name__} does not tell places: expected a position "
                "table with a norm behind it"
            )
        width = parts.words.parameter.shape[1]
        places = parts.positions.rows.double()
        biases = [part.bias for part in first.inputs]
        return cls(
            words=parts.words.rows,
            places=places if parts.types is None else places + parts.types.rows[0].double(),
            scale=parts.norm.scale(width),
            shift=parts.norm.shift(width),
            eps=parts.norm.eps,
            heads=first.heads,
            weights=tuple(part.weight.double() for part in first.inputs),  # type: ignore[arg-type]
            biases=tuple(  # type: ignore[arg-type]
                torch.zeros(1).double() if bias is None else bias.double() for bias in biases
            ),
        )

    def normalised(self, words: Tensor, places: Tensor) -> Tensor:
        """Word-place pairs after the LayerNorm's normalisation, before scale and shift; (..., H)."""
        return F.layer_norm(
            self.words[words].double() + self.places[places], self.scale.shape, eps=self.eps
        )

    def inputs(self, words: Tensor, places: Tensor) -> Tensor:
        """Layer 0's inputs for word ids and places of one shape; (..., H)."""
        return self.normalised(words, places) * self.scale + self.shift

    def projected(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of inputs (E, H), split by head; each (E, h, H / h)."""
        q, k, v = (
            (inputs @ w.T + b).view(len(inputs), self.heads, -1)
            for w, b in zip(self.weights, self.biases, strict=True)
        )
        return q, k, v

    def contexts(self, words: Tensor) -> Tensor:
        """What attention hands to its output projection for whole sentences (S, T); (S, T, H)."""
        places = words.shape[1]
        rows = max(1, self.block // (self.heads * places * places))
        return torch.cat([self._contexts(part) for part in torch.split(words, rows)])

    def _contexts(self, words: Tensor) -> Tensor:
        x = self.inputs(words, torch.arange(words.shape[1]).expand_as(words))
        q, k, v = (
            (x @ w.T + b).view(*words.shape, self.heads, -1).transpose(1, 2)
            for w, b in zip(self.weights, self.biases, strict=True)
        )
        q = q / q.shape[-1] ** 0.5
        queries = max(1, self.block // (len(words) * self.heads * words.shape[1]))
        mixed = [
            (part @ k.transpose(-1, -2)).softmax(-1) @ v  # (s, h, t, d)
            for part in torch.split(q, queries, dim=2)
        ]
        return torch.cat(mixed, 2).transpose(1, 2).flatten(2)
