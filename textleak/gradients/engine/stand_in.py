"""Stand-ins for a model's parameters, so that evaluating leaves the model as it was found."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


@contextmanager
def stand_ins(module: nn.Module, wanted: Container[str]) -> Iterator[dict[str, Tensor]]:
    """Let aliases of the parameters take their place inside the module.

    An alias shares its parameter's memory, is a leaf of its own, and requires gradients only if its
    name is wanted: neither `requires_grad` nor `.grad` of the model ever changes. Buffers of layers
    in training (running statistics) are copied. Gradient checkpointing is off meanwhile: it would
    run layers again after the parameters are back; the inputs that it drops are those that matching
    needs. Where memory is short, evaluate fewer candidates at a time.

    Yields:
        The aliases by parameter name; a tied parameter has one.
    """
    aliases: dict[str, Tensor] = {}
    by_identity: dict[int, Tensor] = {}
    for name, parameter in module.named_parameters():
        aliases[name] = parameter.detach().requires_grad_(name in wanted)
        by_identity[id(parameter)] = aliases[name]
    found: list[tuple[dict[str, Any], str, Any]] = []
    try:
        for part in module.modules():
            for key, value in _replacements(part, by_identity):
                found.append((part.__dict__, key, part.__dict__[key]))
                part.__dict__[key] = value
        yield aliases
    finally:
        for attributes, key, value in found:
            attributes[key] = value


def _replacements(part: nn.Module, aliases: Mapping[int, Tensor]) -> Iterator[tuple[str, Any]]:
    if part._parameters:
        swapped = part._parameters.items()
        yield "_parameters", {key: aliases.get(id(value), value) for key, value in swapped}
    if "_flat_weights" in part.__dict__:  # recurrent layers keep a second list
        weights = part.__dict__["_flat_weights"]
        yield "_flat_weights", [aliases.get(id(value), value) for value in weights]
    if part.training and part._buffers:
        copies = ((key, value) for key, value in part._buffers.items())
        yield "_buffers", {key: None if value is None else value.clone() for key, value in copies}
    if part.__dict__.get("gradient_checkpointing"):
        yield "gradient_checkpointing", False
