"""The last token of each sequence, which is only ever a label.

What a projection of the last block writes for a query (or behind the attention) is seen by its own place
alone. So the last label of a leaf n adds e_n x_n^T to its rows, with x_n what the projection reads at the
leaf's last place and e_n the slope of the loss by what it writes there; what the other labels add is
recomputed, one backward pass a leaf, and how often each leaf counts is fitted outside of all x_n. With the
head's input h_n, the probabilities p_n and the output table W

    e_n = count * (dh_n / dy_n)^T (W^T p_n - W_w)

is linear in the row of the word w, and the nearest word is it. Where keys and
values alone are shared, all places' x are told apart instead, and e_n is known up to its size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from textleak.attacks.prefix.readout import Readout
from textleak.attacks.prefix.states import PrefixStates
from textleak.attacks.prefix.tree import Path
from textleak.attacks.pursuit.noise import row_noise
from textleak.core.errors import UpdateError
from textleak.core.noise import NoiseLaw
from textleak.models.decoder_parts import DecoderParts, Projection


def last_words(
    module: nn.Module,
    parts: DecoderParts,
    shared: Mapping[str, Tensor],
    leaves: Sequence[Path],
    law: NoiseLaw | None = None,
    equations: int = 24,
    rounding: float = 1e-4,
) -> list[tuple[int, int]]:
    """The word behind each of `leaves`, and how often the sequence stands in the batch.

    Args:
        module: the public model.
        parts: its parts.
        shared: the update's gradients.
        leaves: each sequence but for its last token.
        law: of the noise that the protocol put on them.
        equations: no projection gives more than so many for each leaf.
        rounding: slopes are known to this share of themselves.

    Raises:
        UpdateError: no block shares a gradient.
    """
    telling, alone = _telling(module, parts, shared, len(leaves))
    ends = [_end(module, parts, telling, leaf, equations) for leaf in leaves]
    known = [_known(module, parts, telling, leaf) for leaf in leaves]
    parted = []
    for number, projection in enumerate(telling):
        rows = projection.rows(shared)
        assert rows is not None
        read = torch.stack([end.read[number] for end in ends]).double()  # (S, d)
        before = torch.stack([rest.rows[number] for rest in known]).double()  # (S, out, d)
        if not alone:
            read = torch.cat([read, *(rest.read[number].double() for rest in known)])
        parted.append((rows.double().cpu(), before, read))
    counts = _counts(parted)
    slopes, doubts = [], []
    for rows, before, read in parted:
        left = _left(rows, before, read, counts)[_some(len(rows), equations)]  # (out, n)
        noise = row_noise(rows, law).mean() * torch.linalg.pinv(read @ read.T).diagonal()
        doubt = (noise + (rounding * left).square().mean(0)).sqrt()  # (n,)
        slopes.append(left)
        doubts.append(doubt.expand_as(left))
    own, doubt = torch.cat(slopes), torch.cat(doubts)
    readout = Readout(module, parts.head)
    words = [
        _nearest(own[:, row], doubt[:, row], float(counts[row]), end, readout)
        for row, end in enumerate(ends)
    ]
    return list(zip(words, _times(counts), strict=True))


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


def _telling(
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


def _end(
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
        units.append(torch.eye(len(weight), device=device)[_some(len(weight), equations)])
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


def _some(rows: int, most: int) -> slice:
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


def _known(
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


def _counts(parted: Sequence[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """How often each sequence counts, fitted outside of what is read, (S,); zeros where none can be."""
    fits = []
    for rows, known, read in parted:
        basis = torch.linalg.qr(read.T).Q  # (d, n)
        outside = (known - known @ basis @ basis.T).flatten(1)  # (S, out d)
        if len(basis) >= 2 * len(read) and bool(outside.any()):
            target = (rows - rows @ basis @ basis.T).flatten()[:, None]
            fits.append(torch.linalg.lstsq(outside.T, target, driver="gelsd").solution[:, 0])
    return torch.stack(fits).median(0).values if fits else torch.zeros(len(parted[0][1])).double()


def _times(counts: Tensor, near: float = 0.1) -> list[int]:
    """Counts as whole multiples of the least; once each where they are none.

    >>> _times(torch.tensor([0.1, 0.2, 0.1]))
    [1, 2, 1]
    >>> _times(torch.tensor([0.1, 0.16, 0.0]))
    [1, 1, 1]
    """
    if not bool((counts > 0).all()):
        return [1] * len(counts)
    times = counts / counts.min()
    whole = times.round()
    return whole.int().tolist() if bool(((times - whole).abs() < near).all()) else [1] * len(counts)


def _left(rows: Tensor, known: Tensor, read: Tensor, counts: Tensor) -> Tensor:
    """The slopes behind what the known part leaves of the rows, (out, n).

    Args:
        rows: (out, d).
        known: what the inner labels of each sequence add to them, (S, out, d).
        read: at the last places, and wherever else is to be told apart, (n, d).
        counts: how often each sequence counts, (S,).
    """
    rows = rows - torch.einsum("s,sod->od", counts, known)
    slopes: Tensor = torch.linalg.lstsq(read.T, rows.T, driver="gelsd").solution.T
    return slopes


def _nearest(own: Tensor, doubt: Tensor, count: float, end: End, readout: Readout) -> int:
    """The likeliest word: whose slopes, times the count, lie nearest `own` (c,), beside its doubt.

    Where the count is not known their directions are compared.
    """
    atoms = (readout.expected(end.head[None]) - readout.all_rows(end.head)) @ end.jacobian.T
    turned, wanted = atoms.cpu() / doubt.float(), (own / doubt).float()
    if count > 0:
        return int((count * turned - wanted).norm(dim=1).argmin())
    return int(((turned @ wanted) / turned.norm(dim=1).clamp_min(1e-30)).argmax())
