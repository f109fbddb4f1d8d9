"""What each sequence adds to the gradients of a few layers: many sequences in one pass.

A linear layer's weight gradient is sum_t d_t x_t^T over a sequence's tokens, its bias's sum_t d_t. So the
inputs and output gradients of one forward and one backward pass over many sequences give every
sequence's own part, and the backward pass ends at the first layer that is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from textleak.core.batch import IGNORED, TokenBatch
from textleak.models.text_model import TextModel


@dataclass(frozen=True)
class Parts:
    """Every sequence's part of the gradients of some tensors.

    Attributes:
        inputs: by layer (N, K, in), what it was given.
        slopes: by layer (N, K, out), the loss's gradient at its output.
        words: (N, T, H) the loss's gradient at the word embeddings, where asked for.
    """

    inputs: dict[str, Tensor]
    slopes: dict[str, Tensor]
    words: Tensor | None

    def of(self, name: str) -> Tensor:
        """The parts of the tensor called `name`; (N, ...)."""
        layer, kind = name.rsplit(".", 1)
        if kind == "bias":
            return self.slopes[layer].sum(1)
        return torch.einsum("nko,nki->noi", self.slopes[layer], self.inputs[layer])


def witnesses(model: TextModel, shared: Sequence[str], most: int, small: int) -> list[str]:
    """The last `most` shared tensors of linear layers, and of biases of LayerNorms, small ones first."""
    given = set(shared)
    found = []
    for layer, module in model.module.named_modules():
        linear, norm = isinstance(module, nn.Linear), isinstance(module, nn.LayerNorm)
        for kind, parameter in module.named_parameters(recurse=False):
            name = f"{layer}.{kind}"
            if (linear or (norm and kind == "bias")) and name in given:
                found.append((parameter.numel() <= small, name))
    light = [name for is_small, name in found if is_small]
    return (light or [name for _, name in found])[-most:]


def sequence_parts(
    model: TextModel, batch: TokenBatch, names: Sequence[str], share: float, *, words: bool = False
) -> Parts:
    """Every sequence's part of the gradients of `names`.

    Args:
        model: the public model.
        batch: N sequences.
        names: tensors from `witnesses`.
        share: what one sequence (classification) or one masked position (masked-LM) weighs in the
            loss, 1 over their number in the batch that they are parts of.
        words: whether the gradient at the word embeddings is wanted, which takes a whole backward
            pass.
    """
    layers = list(dict.fromkeys(name.rsplit(".", 1)[0] for name in names))
    bearing = batch.labels != IGNORED
    table = model.module.get_input_embeddings() if words else None  # type: ignore[operator]
    with _watched(model.module, layers, table) as (inputs, outputs), torch.enable_grad():
        loss = model.loss(batch) * (batch.items * share)
    keys = list(outputs)
    found = torch.autograd.grad(loss, [outputs[key] for key in keys], allow_unused=True)
    slopes = {
        key: torch.zeros_like(outputs[key]) if slope is None else slope
        for key, slope in zip(keys, found, strict=True)
    }
    at_words = slopes.pop("", None)
    rows = bearing.nonzero()[:, 0] if batch.by_token else None
    shape = batch.input_ids.shape
    return Parts(
        {layer: _by_sequence(inputs[layer], shape, rows) for layer in layers},
        {layer: _by_sequence(slopes[layer], shape, rows) for layer in layers},
        at_words,
    )


@contextmanager
def _watched(
    module: nn.Module, layers: Sequence[str], table: nn.Module | None
) -> Iterator[tuple[dict[str, Tensor], dict[str, Tensor]]]:
    """Inputs and outputs of layers while the module runs, its parameters frozen."""
    inputs: dict[str, Tensor] = {}
    outputs: dict[str, Tensor] = {}

    def keep(key: str, given: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if not output.requires_grad:
            output = output.detach().requires_grad_()
        inputs[key], outputs[key] = given[0].detach(), output
        return output

    watched = {layer: module.get_submodule(layer) for layer in layers}
    if table is not None:
        watched[""] = table
    handles = [
        layer.register_forward_hook(lambda _, given, output, key=key: keep(key, given, output))
        for key, layer in watched.items()
    ]
    needing = [parameter for parameter in module.parameters() if parameter.requires_grad]
    try:
        for parameter in needing:
            parameter.requires_grad_(False)
        yield inputs, outputs
    finally:
        for parameter in needing:
            parameter.requires_grad_(True)
        for handle in handles:
            handle.remove()


def _by_sequence(values: Tensor, shape: torch.Size, rows: Tensor | None) -> Tensor:
    """(N, K, F) of what a layer saw token by token, once a sequence, or at the masked positions only."""
    count, length = shape
    if values.dim() == 3:
        return values
    if len(values) == count * length:  # token by token, in one row (OPT)
        return values.view(count, length, -1)
    if rows is None or len(values) != len(rows):
        return values[:, None]  # the pooler: once a sequence
    widths = torch.bincount(rows, minlength=count)
    spread = values.new_zeros(count, int(widths.max()), values.shape[1])
    within = torch.cat([torch.arange(int(width)) for width in widths])
    spread[rows, within] = values
    return spread
