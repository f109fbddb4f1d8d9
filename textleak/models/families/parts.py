"""Handles on a model's parts: what each reads and writes, and where its gradient is found.

A handle is bound to the loaded module. It gives weights as the mathematics writes them, whatever the
layer that holds them (`nn.Linear`, GPT-2's transposed `Conv1D`, a slice of a fused projection), and
takes the same view of gradients by parameter name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Table:
    """An embedding table.

    Attributes:
        name: its parameter's name; of a tied one the name under which the model lists it.
        parameter: the table, (rows, width).
        first: the row of the first entry: RoBERTa's first position has row `padding_idx + 1`.
    """

    name: str
    parameter: Tensor
    first: int = 0

    @property
    def rows(self) -> Tensor:
        """The entries from the first one on, detached, (rows - first, width)."""
        return self.parameter.detach()[self.first :]

    def of(self, tensors: Tensors) -> Tensor | None:
        """The same rows of this table's gradient, if it is among `tensors`."""
        found = tensors.get(self.name)
        return None if found is None else found[self.first :]


@dataclass(frozen=True)
class Projection:
    """A linear map y = W x + b, W (out, in).

    Attributes:
        layer: the module that computes it, or of which it is a part.
        name: the weight parameter's name.
        bias_name: the bias's, if there is one.
        transposed: the parameter is stored (in, out), as `Conv1D` does.
        part: the outputs (from, to) of a fused layer that are meant; None is all.
    """

    layer: nn.Module
    name: str
    bias_name: str | None = None
    transposed: bool = False
    part: tuple[int, int] | None = None

    @property
    def weight(self) -> Tensor:
        """W, detached, (out, in)."""
        weight: Tensor = self.layer.weight  # type: ignore[assignment]
        return self._view(weight.detach())

    @property
    def bias(self) -> Tensor | None:
        """b, detached, (out,)."""
        bias: Tensor | None = self.layer.bias  # type: ignore[assignment]
        return None if bias is None else self._cut(bias.detach())

    def of(self, tensors: Tensors) -> Tensor | None:
        """The weight's gradient (out, in), if it is among `tensors`; its rows are sums of inputs."""
        found = tensors.get(self.name)
        return None if found is None else self._view(found)

    def bias_of(self, tensors: Tensors) -> Tensor | None:
        """The bias's gradient (out,), if there is one and it is among `tensors`."""
        found = None if self.bias_name is None else tensors.get(self.bias_name)
        return None if found is None else self._cut(found)

    def _view(self, tensor: Tensor) -> Tensor:
        return self._cut(tensor.T if self.transposed else tensor)

    def _cut(self, tensor: Tensor) -> Tensor:
        return tensor if self.part is None else tensor[slice(*self.part)]


@dataclass(frozen=True)
class Norm:
    """A LayerNorm, or an RMSNorm where it is not centred: n(x) * scale + shift.

    Attributes:
        layer: the module.
        eps: its epsilon.
        centred: the mean is taken off first (LayerNorm).
        unit: what is added to the stored weight: 1 where the model stores scale - 1.
    """

    layer: nn.Module
    eps: float
    centred: bool = True
    unit: float = 0.0

    def scale(self, width: int) -> Tensor:
        """The scale, float64, (width,)."""
        weight: Tensor | None = getattr(self.layer, "weight", None)
        return (
            torch.ones(width).double() if weight is None else weight.detach().double() + self.unit
        )

    def shift(self, width: int) -> Tensor:
        """The shift, float64, (width,)."""
        bias: Tensor | None = getattr(self.layer, "bias", None)
        return torch.zeros(width).double() if bias is None else bias.detach().double()


@dataclass(frozen=True)
class Embeddings:
    """What turns tokens into the first layer's input: norm(words + positions + types), projected.

    Attributes:
        words: the word table.
        positions: the position table; None where positions enter by rotation or relative bias.
        types: the table of token types, if there is one.
        norm: behind the sum, if there is one.
        projection: behind that, from the tables' width to the model's (ALBERT, ELECTRA).
    """

    words: Table
    positions: Table | None = None
    types: Table | None = None
    norm: Norm | None = None
    projection: Projection | None = None


@dataclass(frozen=True)
class Layer:
    """One transformer layer.

    Attributes:
        query: reads the layer's input: behind `norm` where `pre_norm`.
        key: likewise.
        value: likewise.
        output: reads the attention's contexts, all heads side by side.
        feed_forward: what reads the feed-forward's input: one projection, or gate and up.
        down: reads the feed-forward's activations.
        norm: the attention's: in front of it where `pre_norm`, else behind the residual sum.
        feed_forward_norm: the feed-forward's, likewise.
        pre_norm: whether norms stand in front.
        heads: of queries.
        key_heads: of keys and values; fewer where queries are grouped.
    """

    query: Projection
    key: Projection
    value: Projection
    output: Projection
    feed_forward: tuple[Projection, ...]
    down: Projection
    norm: Norm | None
    feed_forward_norm: Norm | None
    heads: int
    key_heads: int
    pre_norm: bool = False

    @property
    def inputs(self) -> tuple[Projection, Projection, Projection]:
        """Query, key and value: all read the same input, which spans the rows of their gradients."""
        return self.query, self.key, self.value


@dataclass(frozen=True)
class Head:
    """What turns last hidden states into logits.

    Attributes:
        output: the last projection: the decoder over words, or the classifier.
        dense: the first layer, which reads the hidden states that bear loss; None where that is
            `output` itself, or where a sequence's states are pooled first.
        transform: from states (n, H) to `output`'s input (n, E), for heads that read token by token.
        tied: `output`'s weight is the word table.
    """

    output: Projection
    dense: Projection | None = None
    transform: Callable[[Tensor], Tensor] | None = None
    tied: bool = False
