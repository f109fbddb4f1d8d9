"""What the last block sees of a leaf: what its projections read and move, and what inner labels add."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from textleak.attacks.prefix.states import PrefixStates
from textleak.attacks.prefix.tree import Path
from textleak.core.errors import UpdateError
from textleak.models.decoder_parts import DecoderParts, Projection


@dataclass(frozen=True)
class End:
    """The last place of a leaf.

    Attributes:
        read: what each projection reads there, (d,).
        head: what the head reads, (H,).
        jacobian: how that moves with what the projections write, (c, H).
    """

    read: list[Tensor]
    head: Tensor
    jacobian: Tensor


@dataclass(frozen=True)
class Known:
    """What a leaf's own words add.

    Attributes:
        rows: to the rows of each projection, (out, d).
        read: what each projection reads at all places but the last, (t, d).
    """

    rows: list[Tensor]
    read: list[Tensor]


def telling_projections(
    module: nn.Module, parts: DecoderParts, shared: Mapping[str, Tensor], leaves: int
) -> tuple[list[Projection], bool]:
    """The last block's projections that share rows, and whether their places see themselves alone.

    Those that other places see are left out, unless there are no others.
    """
    found: list[Projection] = []
    for probe in parts.blocks[-1]:
        for projection in (*probe.projections, *probe.inner):
            rows = projection.rows(shared)
            if rows is not None and bool(rows.any()) and rows.shape[1] >= leaves:
                found.append(projection)
    if not found:
        raise UpdateError("the last block shares no gradient that tells last tokens")
    moved = _moved_by_first(module, parts, found)
    alone = [projection for projection, other in zip(found, moved, strict=True) if not other]
    return (alone, True) if alone else (found, False)


def _moved_by_first(
    module: nn.Module, parts: DecoderParts, telling: Sequence[Projection]
) -> list[bool]:
    """Whether what each projection writes at the first of two places moves the head at the second."""
    device = next(module.parameters()).device
    sizes = [len(_upright(p, module.get_parameter(f"{p.name}.weight"))) for p in telling]
    first = [torch.zeros(1, size, device=device, requires_grad=True) for size in sizes]
    read: dict[str, Tensor] = {}
    with _watched(module, parts, telling, read, first, place=0), torch.enable_grad():
        module(input_ids=torch.tensor([[0, 1]], device=device), use_cache=False)
        slopes = torch.autograd.grad(read[""][0, -1].square().sum(), first, allow_unused=True)
    return [slope is not None and bool(slope.any()) for slope in slopes]


def end_of(
    module: nn.Module,
    parts: DecoderParts,
    telling: Sequence[Projection],
    leaf: Path,
    equations: int,
) -> End:
    """One product with the unit matrix gives the Jacobian: the place stands there once for each row."""
    device = next(module.parameters()).device
    memory, units = PrefixStates(module).memory_name, []
    cache = DynamicCache()
    for projection in telling:
        weight = _upright(projection, module.get_parameter(f"{projection.name}.weight"))
        units.append(torch.eye(len(weight), device=device)[spread(len(weight), equations)])
    count = sum(map(len, units))
    if len(leaf) > 1:
        with torch.no_grad():
            module(input_ids=torch.tensor([leaf[:-1]], device=device), **{memory: cache})
        many, layers = DynamicCache(), list[Any](cache.layers)
        for index, layer in enumerate(layers):
            keys, values = (side.expand(count, -1, -1, -1) for side in (layer.keys, layer.values))
            many.update(keys, values, index)
        cache = many
    moved = torch.zeros(count, count, device=device, requires_grad=True)
    pieces = torch.split(moved, [len(unit) for unit in units], dim=1)
    parts_of = [piece @ unit for piece, unit in zip(pieces, units, strict=True)]
    read: dict[str, Tensor] = {}
    with _watched(module, parts, telling, read, parts_of, place=-1), torch.enable_grad():
        module(input_ids=torch.full((count, 1), leaf[-1], device=device), **{memory: cache})
        given = read[""][:, -1]  # (c, H)
        back = torch.zeros_like(given, requires_grad=True)
        (slopes,) = torch.autograd.grad(given, moved, back, create_graph=True)
        (jacobian,) = torch.autograd.grad(slopes, back, torch.eye(count, device=device))
    at = [read[projection.name][0, -1].detach().cpu() for projection in telling]
    return End(at, given[0].detach(), jacobian)


def spread(rows: int, most: int) -> slice:
    """At most so many of the rows, evenly spread."""
    return slice(None, None, max(1, -(-rows // most)))


@contextmanager
def _watched(
    module: nn.Module,
    parts: DecoderParts,
    telling: Sequence[Projection],
    read: dict[str, Tensor],
    moved: Sequence[Tensor],
    place: int,
) -> Iterator[None]:
    """Note what the projections and the head read, and add to what they write at one place.

    Args:
        module: the public model.
        parts: its parts.
        telling: the projections.
        read: filled by their names; the head's is empty.
        moved: what is added, (B, out) each; none where it is empty.
        place: where.
    """

    def note(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(_: nn.Module, given: tuple[Tensor, ...]) -> None:
            if given[0].dim() == 3:  # DoRA shows an adapter the unit matrix first
                read[name] = given[0]

        return hook

    def move(by: Tensor) -> Callable[[nn.Module, object, Tensor], Tensor]:
        def hook(_: nn.Module, given: object, written: Tensor) -> Tensor:
            if written.dim() < 3:
                return written
            at = torch.zeros(written.shape[1], 1, device=written.device)
            at[place] = 1
            return written + at * by[:, None]

        return hook

    layers = [module.get_submodule(projection.name) for projection in telling]
    handles = [module.get_submodule(parts.head.name).register_forward_pre_hook(note(""))]
    handles += [
        layer.register_forward_pre_hook(note(projection.name))
        for layer, projection in zip(layers, telling, strict=True)
    ]
    handles += [
        layer.register_forward_hook(move(by)) for layer, by in zip(layers, moved, strict=False)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def known_of(
    module: nn.Module, parts: DecoderParts, telling: Sequence[Projection], leaf: Path
) -> Known:
    """What the labels of a leaf's own words add to the rows, and what is read at their places."""
    weights = [module.get_parameter(f"{projection.name}.weight") for projection in telling]
    if len(leaf) == 1:
        rows = [torch.zeros_like(_upright(p, w)) for p, w in zip(telling, weights, strict=True)]
        return Known([row.cpu() for row in rows], [row[:0].cpu() for row in rows])
    ids = torch.tensor([leaf], device=weights[0].device)
    read: dict[str, Tensor] = {}
    with _watched(module, parts, telling, read, (), place=0), torch.enable_grad():
        logits = module(input_ids=ids, use_cache=False).logits[0, :-1]
        loss = nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum")
        gradients = torch.autograd.grad(loss, weights)
    rows = [_upright(p, g).cpu() for p, g in zip(telling, gradients, strict=True)]
    return Known(rows, [read[p.name][0, :-1].detach().cpu() for p in telling])


def _upright(projection: Projection, weight: Tensor) -> Tensor:
    return weight.detach().T if projection.transposed else weight.detach()
