"""Layer 0 as plain tensors: the inputs of word-place pairs, and their attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from textleak.core.errors import UpdateError
from textleak.models.families import Projection
from textleak.models.text_model import TextModel


@dataclass(frozen=True)
class FirstLayer:
    """The public weights that turn (word, place) into layer 0's queries, keys and values.

    Attributes:
        words: (V, H) word table as the model holds it; everything else is float64.
        places: (P, H) position table with the token type of a first segment added; where `separator` or
            `bare` says so (2 P, H), behind it that of a second segment.
        scale: (H,) weight of the embeddings' LayerNorm.
        shift: (H,) its bias.
        eps: its epsilon.
        heads: the number of attention heads.
        weights: query, key and value projections, each (H, H).
        biases: theirs, each (H,).
        enlarged: weight (H, E) and bias (H,) of the projection behind norms of another width E.
        relative: (h, 2 P - 1) what scores have added by how far behind its query a key stands, from
            1 - P to P - 1.
        separator: what parts the two segments of a sequence, where each has two. A token of the second
            is at place P + t; where types do not tell segments, the last token alone is.
        typed: token types tell the two segments.
        bare: sequences have no frame; their last token, at t, is at place P + t.
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
    enlarged: tuple[Tensor, Tensor] | None = None
    relative: Tensor | None = None
    separator: int | None = None
    typed: bool = False
    bare: bool = False
    block: int = 1 << 21

    @staticmethod
    def readable(model: TextModel) -> bool:
        """Whether the family has what tells places: a position table under a norm, plain attention."""
        parts = model.family.embeddings
        tabled = parts.positions is not None and parts.norm is not None
        return tabled and model.family.plain_attention

    @classmethod
    def of(cls, model: TextModel) -> FirstLayer:
        """Read the weights of `model`.

        Raises:
            UpdateError: its family has no position table, or no norm behind the embeddings.
        """
        parts = model.family.embeddings
        if parts.positions is None or parts.norm is None or not model.family.plain_attention:
            raise UpdateError(
                f"layer 0 of {type(model.family).__name__} does not tell places: expected a position "
                "table with a norm behind it, and attention by queries and keys"
            )
        count = len(parts.positions.rows)
        bare, inner = not model.feed.framed, model.marks.inner
        relative = model.family.relative_bias(torch.arange(1 - count, count))
        wide = parts.projection
        width = parts.words.parameter.shape[1]
        places = parts.positions.rows.double()
        types = torch.zeros(2, width).double() if parts.types is None else parts.types.rows.double()
        typed = bool(inner) and parts.types is not None and model.family.segments > 1
        halves = [places + types[0]]
        if bare or inner:
            halves.append(places + types[1 if typed else 0])
        first = model.family.layer(0)
        return cls(
            words=parts.words.rows,
            places=torch.cat(halves),
            scale=parts.norm.scale(width),
            shift=parts.norm.shift(width),
            eps=parts.norm.eps,
            heads=first.heads,
            weights=tuple(part.weight.double() for part in first.inputs),  # type: ignore[arg-type]
            biases=tuple(_bias(part) for part in first.inputs),  # type: ignore[arg-type]
            enlarged=None if wide is None else (wide.weight.double(), _bias(wide)),
            relative=None if relative is None else relative.double(),
            separator=inner[0] if inner else None,
            typed=typed,
            bare=bare,
        )

    @property
    def count(self) -> int:
        """P, how many positions there are."""
        return (
            len(self.places) // 2 if self.bare or self.separator is not None else len(self.places)
        )

    def standing(self, words: Tensor) -> Tensor:
        """The places of whole sequences' words (..., T), none of them padding; (..., T)."""
        at = torch.arange(words.shape[-1]).expand(words.shape).clone()
        if self.typed and self.separator is not None:
            separators = words.eq(self.separator).long()
            return at.add(separators.cumsum(-1).gt(separators), alpha=self.count)
        if self.bare or self.separator is not None:
            at[..., -1] += self.count
        return at

    def ends(self, words: Tensor, places: Tensor, last: int) -> Tensor:
        """Which of words at places end a sequence; `last` ends every one that has a frame."""
        behind = places >= self.count
        if self.bare:
            return behind
        return (words == last) & behind if self.separator is not None else words == last

    def variants(self, positions: Sequence[int]) -> list[int]:
        """The places that differ at these positions: of both segments where types tell them."""
        return [*positions, *(self.count + at for at in positions if self.typed)]

    def normalised(self, words: Tensor, places: Tensor) -> Tensor:
        """Word-place pairs after the LayerNorm's normalisation, before scale and shift; (..., H)."""
        return F.layer_norm(
            self.words[words].double() + self.places[places], self.scale.shape, eps=self.eps
        )

    def inputs(self, words: Tensor, places: Tensor) -> Tensor:
        """Layer 0's inputs for word ids and places of one shape; (..., H)."""
        narrow = self.normalised(words, places) * self.scale + self.shift
        if self.enlarged is None:
            return narrow
        weight, bias = self.enlarged
        return narrow @ weight.T + bias

    @property
    def width(self) -> int:
        """H, of what layer 0 reads."""
        return self.weights[0].shape[1]

    def seen_along(self, directions: Tensor) -> tuple[Tensor, Tensor]:
        """What directions (m, H) measure of inputs: a . n + c of normalised n, a (m, E) and c (m,)."""
        constant = torch.zeros(len(directions)).double()
        if self.enlarged is not None:
            weight, bias = self.enlarged
            directions, constant = directions @ weight, directions @ bias
        return directions * self.scale, constant + directions @ self.shift

    def between(self, queries: Tensor, keys: Tensor) -> Tensor:
        """What the scores of places `queries` (q,) at places `keys` (k,) have added; (h, q, k)."""
        assert self.relative is not None
        middle = self.relative.shape[1] // 2
        apart = keys[None, :] % self.count - queries[:, None] % self.count
        return self.relative[:, apart + middle]

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
        x = self.inputs(words, self.standing(words))
        q, k, v = (
            (x @ w.T + b).view(*words.shape, self.heads, -1).transpose(1, 2)
            for w, b in zip(self.weights, self.biases, strict=True)
        )
        q = q / q.shape[-1] ** 0.5
        queries = max(1, self.block // (len(words) * self.heads * words.shape[1]))
        places, mixed = torch.arange(words.shape[1]), []
        for part, at in zip(
            torch.split(q, queries, dim=2), torch.split(places, queries), strict=True
        ):
            scores = part @ k.transpose(-1, -2)  # (s, h, t, T)
            if self.relative is not None:
                scores += self.between(at, places)
            mixed.append(scores.softmax(-1) @ v)  # (s, h, t, d)
        return torch.cat(mixed, 2).transpose(1, 2).flatten(2)


def _bias(part: Projection) -> Tensor:
    bias = part.bias
    return torch.zeros(len(part.weight)).double() if bias is None else bias.double()
