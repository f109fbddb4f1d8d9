"""Where a causal model keeps what exact recovery reads, found by watching one forward pass.

No names are needed, so that it holds for any family: linear layers that are given the same tensor form a
*probe*, and a block's probes follow each other as its forward pass calls them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from textleak.core.errors import ModelError


@dataclass(frozen=True)
class Projection:
    """A linear layer.

    Attributes:
        name: its module's name; the weight is `name.weight`.
        transposed: the weight is stored as (in, out), as GPT-2's `Conv1D` does.
    """

    name: str
    transposed: bool

    def rows(self, gradients: Mapping[str, Tensor]) -> Tensor | None:
        """The shared gradient of its weight as (out, in); None where it is not shared."""
        gradient = gradients.get(f"{self.name}.weight")
        if gradient is None:
            return None
        return gradient.T if self.transposed else gradient


@dataclass(frozen=True)
class Probe:
    """Projections that read one tensor: the rows of their gradients are sums of what it held.

    Attributes:
        block: the block that they belong to.
        projections: query, key and value; or gate and up; or one alone. The first half of an adapter
            reads what its layer reads, and is one of them.
        inner: the second halves of their adapters; each reads what its first half writes.
    """

    block: int
    projections: tuple[Projection, ...]
    inner: tuple[Projection, ...] = ()

    @property
    def entry(self) -> str:
        """The module whose input is the tensor."""
        return self.projections[0].name

    def gradients(self, shared: Mapping[str, Tensor]) -> list[Tensor]:
        """The shared ones of their gradients, each (out, in)."""
        rows = [projection.rows(shared) for projection in self.projections]
        return [gradient for gradient in rows if gradient is not None]


@dataclass(frozen=True)
class DecoderParts:
    """What exact recovery reads of a causal model.

    Attributes:
        blocks: the probes of each block, in the order of the forward pass. The first of a block
            reads its input; what the last one writes stands on the residual stream.
        head: the output projection: vocabulary or classes.
    """

    blocks: tuple[tuple[Probe, ...], ...]
    head: Projection

    @property
    def words(self) -> Probe:
        """The probe that sees words (and places) alone: nothing has been mixed yet."""
        return self.blocks[0][0]

    @property
    def prefixes(self) -> tuple[Probe, ...]:
        """The probes that see prefixes, the cheapest to compute first."""
        return tuple(probe for block in self.blocks for probe in block)[1:]

    @property
    def outcome(self) -> Probe:
        """The last block's last: what it writes reaches the logits of its own position only."""
        return self.blocks[-1][-1]


def decoder_parts(module: nn.Module) -> DecoderParts:
    """Watch one short forward pass of `module` and tell its parts.

    Raises:
        ModelError: the model has no stack of blocks of linear layers, or nothing behind it.
    """
    stack, count = _stack(module)
    calls = _calls(module)
    blocks = tuple(
        _probes(index, [call for call in calls if call[0].name.startswith(f"{stack}.{index}.")])
        for index in range(count)
    )
    behind = [projection for projection, _ in calls if not projection.name.startswith(f"{stack}.")]
    if not behind or not all(len(probes) > 1 for probes in blocks):
        raise ModelError("expected blocks of linear layers and an output projection behind them")
    return DecoderParts(blocks, behind[-1])


def _probes(block: int, calls: list[tuple[Projection, int]]) -> tuple[Probe, ...]:
    groups: dict[int, list[Projection]] = {}
    for projection, given in calls:
        groups.setdefault(given, []).append(projection)
    probes: list[Probe] = []
    for group in groups.values():
        outer = [i for i, probe in enumerate(probes) if _wrapped(group[0], probe)]
        if outer:
            probe = probes[outer[0]]
            probes[outer[0]] = replace(probe, inner=(*probe.inner, *group))
        else:
            probes.append(Probe(block, tuple(group)))
    return tuple(probes)


def _wrapped(projection: Projection, probe: Probe) -> bool:
    """Whether `projection` is part of an adapter around one of `probe`'s layers."""
    layers = (p.name.rpartition(".") for p in probe.projections)
    around = (wrapper for wrapper, _, last in layers if last == "base_layer")
    return any(projection.name.startswith(f"{wrapper}.") for wrapper in around)


def _stack(module: nn.Module) -> tuple[str, int]:
    """The name and length of the longest list of modules: the blocks."""
    lists = [(len(m), n) for n, m in module.named_modules() if isinstance(m, nn.ModuleList)]
    if not lists or not max(lists)[0]:
        raise ModelError("expected a stack of blocks, found none in this model")
    count, name = max(lists)
    return name, count


def _calls(module: nn.Module) -> list[tuple[Projection, int]]:
    """Linear layers in the order of their last calls, each with the identity of its input.

    DoRA calls the halves of an adapter on the unit matrix before it calls them on what there is.
    """
    calls: dict[Projection, int] = {}
    alive: list[Tensor] = []  # keeps every input, so that no address is used twice

    def watch(projection: Projection, given: Tensor) -> None:
        alive.append(given)
        calls.pop(projection, None)
        calls[projection] = given.data_ptr()

    def hook(projection: Projection) -> object:
        return lambda _, given: watch(projection, given[0])

    handles = [
        child.register_forward_pre_hook(hook(Projection(name, isinstance(child, Conv1D))))  # type: ignore[arg-type]
        for name, child in module.named_modules()
        if isinstance(child, (nn.Linear, Conv1D))
    ]
    device = next(module.parameters()).device
    try:
        with torch.no_grad():
            module(input_ids=torch.zeros(1, 2, dtype=torch.long, device=device))
    finally:
        for handle in handles:
            handle.remove()
    return list(calls.items())
