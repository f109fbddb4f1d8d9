"""The tail of a causal model at every prefix: what it wrote, and what the update says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from textleak.attacks.prefix.tree import Path
from textleak.core.batch import padded
from textleak.models.decoder_parts import DecoderParts, Projection


@dataclass(frozen=True)
class Ends:
    """The tail of the model at every prefix.

    Attributes:
        slopes: the loss by what it wrote, (N, out).
        noise: how much of the norm of each slope is noise, (N,).
        given: what the head reads, (N, H), with a graph back to `written`.
        written: zeros added to what the projection wrote, (S, T, out) or (S T, out).
        flat: where in S T each prefix ends, (N,).
    """

    slopes: Tensor
    noise: Tensor
    given: Tensor
    written: Tensor
    flat: Tensor

    def pulled(self, cotangents: Tensor) -> Tensor:
        """J^T c of one cotangent (N, H) for each prefix; (N, out)."""
        (slope,) = torch.autograd.grad(self.given, self.written, cotangents, retain_graph=True)
        return slope.view(-1, slope.shape[-1])[self.flat].double()

    def share(self, index: int) -> float:
        """How much of a slope is noise."""
        return float(self.noise[index]) / max(float(self.slopes[index].norm()), 1e-300)

    def jacobians(self, indices: list[int]) -> Tensor:
        """J of these prefixes, (k, H, out)."""
        columns = []
        for axis in range(self.given.shape[1]):
            cotangents = torch.zeros_like(self.given)
            cotangents[indices, axis] = 1
            columns.append(self.pulled(cotangents)[indices])
        return torch.stack(columns, dim=1)


def telling(parts: DecoderParts, shared: Mapping[str, Tensor]) -> Projection | None:
    """A shared projection behind the last attention, the last one first."""
    for probe in reversed(parts.blocks[-1][1:]):
        for projection in probe.projections:
            if projection.rows(shared) is not None:
                return projection
    return None


def ends_of(
    module: nn.Module,
    parts: DecoderParts,
    projection: Projection,
    shared: Mapping[str, Tensor],
    nodes: Sequence[Path],
) -> Ends:
    """Run the model on every prefix, and solve for what the update says of each.

    Args:
        module: the public model.
        parts: its parts.
        projection: the shared one behind the last attention.
        shared: the update's gradients.
        nodes: every prefix of the batch; each with all of its own prefixes.
    """
    inner = {node[:-1] for node in nodes}
    leaves = [node for node in nodes if node not in inner]
    place = {leaf[: n + 1]: (s, n) for s, leaf in enumerate(leaves) for n in range(len(leaf))}
    places = torch.tensor([place[node] for node in nodes])
    device = next(module.parameters()).device
    ids, mask = (part.to(device) for part in padded(leaves, 0))
    seen: dict[str, Tensor] = {}

    def written(_: nn.Module, given: tuple[Tensor], output: Tensor) -> Tensor:
        seen["read"] = given[0].detach()
        seen["zeros"] = torch.zeros_like(output, requires_grad=True)
        return output.detach() + seen["zeros"]

    with ExitStack() as stack:
        hooks = (
            module.get_submodule(projection.name).register_forward_hook(written),
            module.get_submodule(parts.head.name).register_forward_pre_hook(
                lambda _, given: seen.__setitem__("given", given[0])
            ),
        )
        for hook in hooks:
            stack.callback(hook.remove)
        with torch.enable_grad():
            module(input_ids=ids, attention_mask=mask, use_cache=False)
    at = (places[:, 0], places[:, 1])
    inputs = seen["read"].view(*ids.shape, -1)[at].double()  # some families flatten (S, T)
    gradient = projection.rows(shared)
    assert gradient is not None
    slopes, noise = _slopes(inputs, gradient.double().to(inputs))
    return Ends(
        slopes, noise, seen["given"][at], seen["zeros"], places @ torch.tensor([ids.shape[1], 1])
    )


def _slopes(inputs: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """D of G = D^T A by least squares, (N, out), and how much noise there is in each row's norm, (N,).

    What G has outside the rows of A is noise alone: out (in - N) entries of its variance s^2, of which
    D has s^2 (A A^T)^-1.

    Args:
        inputs: A, (N, in).
        gradient: G, (out, in).
    """
    slopes = torch.linalg.lstsq(inputs.T, gradient.T, driver="gelsd").solution
    out, free = len(gradient), gradient.shape[1] - len(inputs)
    if free <= 0:
        return slopes, slopes.new_zeros(len(slopes))
    variance = float((gradient - slopes.T @ inputs).square().sum()) / (out * free)
    spread = torch.linalg.pinv(inputs).square().sum(0)  # the diagonal of (A A^T)^-1
    return slopes, (variance * out * spread).sqrt()
