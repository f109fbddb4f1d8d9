"""What a layer rule is, and what rules have in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn

from textleak.gradients.engine.factors import Product
from textleak.gradients.matcher import accumulation


class Formed(NamedTuple):
    """A small gradient in full, (R, *shape of the tensor)."""

    values: Tensor


Term = Product | Formed
Terms = Iterator[tuple[str, Term]]


class Rule(Protocol):
    """How one kind of layer runs, and what its parameters' gradients are made of.

    The module is `Any`: a rule reads the attributes of the kind that it fits.
    """

    def fits(self, module: Any) -> bool:
        """Whether the rule holds for `module`."""

    def run(self, module: Any, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Run the layer with its parameters out of autograd; return the output and what to save."""

    def terms(self, module: Any, saved: Tensor, slope: Tensor, candidates: int) -> Terms:
        """The gradient terms by the module's own parameter names.

        Args:
            module: the layer.
            saved: what `run` saved.
            slope: the loss's gradient at the output.
            candidates: R.
        """


def constant(module: nn.Module, key: str) -> Tensor | None:
    """The module's parameter `key` as a constant of autograd, or None where it has none."""
    value = module._parameters.get(key)
    return None if value is None else value.detach()


def needed(module: nn.Module, key: str) -> Tensor:
    """The module's parameter `key`, which `fits` has seen, as a constant of autograd."""
    value = constant(module, key)
    assert value is not None
    return value


def has(module: nn.Module, key: str) -> bool:
    """Whether `module` owns a parameter `key` (a parametrised one is computed, not owned)."""
    return module._parameters.get(key) is not None


def runs_as(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether `module` runs the forward of `kind` itself, whatever its own class is called."""
    own = "forward" in module.__dict__
    return isinstance(module, kind) and type(module).forward is kind.forward and not own


def by_candidate(tensor: Tensor, candidates: int) -> Tensor:
    """Split the candidate-major leading axis, (R*B, ..., d) to (R, n, d), in the type of sums."""
    return tensor.reshape(candidates, -1, tensor.shape[-1]).to(accumulation(tensor))
