"""Layers whose weight gradient is read off their input and output gradient: one rule a layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import torch.nn.functional as F
from torch import Tensor, nn

from textleak.gradients.factors import Dense, OneHot, Product
from textleak.gradients.matcher import accumulation


class Formed(NamedTuple):
    """A small gradient in full, (R, *shape of the tensor)."""

    values: Tensor


Term = Product | Formed


class Rule(Protocol):
    """How one kind of layer runs and what its parameters' gradients are."""

    def fits(self, module: nn.Module) -> bool:
        """Whether the rule holds for `module`."""

    def run(self, module: nn.Module, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Run the layer, its parameters out of autograd; return its output and what `terms` needs."""

    def terms(
        self, module: nn.Module, saved: Tensor, slope: Tensor, candidates: int
    ) -> Iterator[tuple[str, Term]]:
        """The gradient terms of each parameter, given the output's gradient `slope`."""


def constant(module: nn.Module, key: str) -> Tensor | None:
    """The module's parameter `key` as a constant of autograd, or None where it has none."""
    value = module._parameters[key]
    return None if value is None else value.detach()


def needed(module: nn.Module, key: str) -> Tensor:
    """The module's parameter `key` as a constant of autograd."""
    value = constant(module, key)
    assert value is not None  # `fits` has seen to it
    return value


def by_candidate(tensor: Tensor, candidates: int) -> Tensor:
    """Split the candidate-major leading axis, (R*B, ..., d) to (R, n, d), in the type of sums."""
    return tensor.reshape(candidates, -1, tensor.shape[-1]).to(accumulation(tensor))


class LinearRule:
    """`nn.Linear`: the weight's gradient is slopeᵀ input."""

    def fits(self, module: nn.Module) -> bool:
        return runs_as(module, nn.Linear) and has(module, "weight")

    def run(self, module: nn.Module, inputs: Tensor) -> tuple[Tensor, Tensor]:
        return F.linear(inputs, needed(module, "weight"), constant(module, "bias")), inputs

    def terms(
        self, module: nn.Module, saved: Tensor, slope: Tensor, candidates: int
    ) -> Iterator[tuple[str, Term]]:
        slope = by_candidate(slope, candidates)
        yield "weight", Product(Dense(slope), by_candidate(saved, candidates))
        if has(module, "bias"):
            yield "bias", Formed(slope.sum(1))


class LayerNormRule:
    """`nn.LayerNorm` over the last axis: its gradients are small and formed."""

    def fits(self, module: nn.Module) -> bool:
        last_axis = runs_as(module, nn.LayerNorm) and len(module.normalized_shape) == 1
        return last_axis and has(module, "weight")

    def run(self, module: nn.Module, inputs: Tensor) -> tuple[Tensor, Tensor]:
        standard = F.layer_norm(inputs, module.normalized_shape, eps=module.eps)
        output = standard * needed(module, "weight")
        bias = constant(module, "bias")
        return (output if bias is None else output + bias), standard

    def terms(
        self, module: nn.Module, saved: Tensor, slope: Tensor, candidates: int
    ) -> Iterator[tuple[str, Term]]:
        slope = by_candidate(slope, candidates)
        yield "weight", Formed((slope * by_candidate(saved, candidates)).sum(1))
        if has(module, "bias"):
            yield "bias", Formed(slope.sum(1))


class EmbeddingRule:
    """`nn.Embedding` with hard ids: a one-hot factor."""

    def fits(self, module: nn.Module) -> bool:
        plain = runs_as(module, nn.Embedding) and has(module, "weight")
        return plain and module.max_norm is None and not module.scale_grad_by_freq

    def run(self, module: nn.Module, inputs: Tensor) -> tuple[Tensor, Tensor]:
        return F.embedding(inputs, needed(module, "weight")), inputs

    def terms(
        self, module: nn.Module, saved: Tensor, slope: Tensor, candidates: int
    ) -> Iterator[tuple[str, Term]]:
        ids = saved.reshape(candidates, -1)
        slope = by_candidate(slope, candidates)
        if module.padding_idx is not None:
            slope = slope * (ids != module.padding_idx).unsqueeze(2)
        yield "weight", Product(OneHot(ids, slope.dtype), slope)


def runs_as(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether `module` runs the forward of `kind` itself, whatever its class is called."""
    own = "forward" in module.__dict__
    return isinstance(module, kind) and type(module).forward is kind.forward and not own


def has(module: nn.Module, key: str) -> bool:
    """Whether `module` owns a parameter `key` (a parametrised one is computed, not owned)."""
    return module._parameters.get(key) is not None


RULES: tuple[Rule, ...] = (LinearRule(), LayerNormRule(), EmbeddingRule())


def rule_for(module: nn.Module) -> Rule | None:
    """The rule that fits `module`, or None."""
    return next((rule for rule in RULES if rule.fits(module)), None)
