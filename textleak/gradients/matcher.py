"""What the fast engine and the slow oracle have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from textleak.core.errors import ModelError, UpdateError, unknown
from textleak.gradients.distances import Distance


class Recorder(Protocol):
    """Handed to the closure, for what a module's own layers cannot express."""

    def lookup(self, name: str, weights: Tensor, rows: Tensor | None = None) -> Tensor:
        """Soft embedding lookup, which counts in the table's gradient (also when it is tied).

        Args:
            name: the embedding parameter.
            weights: mixture over the rows, (R*B, T, C), candidate-major.
            rows: which rows the C columns mean, (C,), each at most once; None is the whole table.

        Returns:
            `weights @ table[rows]`, shape (R*B, T, H).
        """


Forward = Callable[[Recorder], Tensor]


class Matcher(ABC):
    """The distance between dummy gradients and the shared gradient, for any module.

    Args:
        module: the public model; it is left as it was found.
        shared: the shared gradients by parameter name; a subset of the parameters will do.
        distance: how they are compared.

    Raises:
        UpdateError: a shared gradient does not fit the module, or no tensor is left to match.
    """

    def __init__(self, module: nn.Module, shared: Mapping[str, Tensor], distance: Distance) -> None:
        self.module = module
        self.distance = distance
        self.weights = distance.select(shared)
        parameters = dict(module.named_parameters())
        for name in self.weights:
            if name not in parameters or parameters[name].shape != shared[name].shape:
                raise UpdateError(f"the shared gradient {name!r} fits no parameter of the model")
        self.shared = {
            name: shared[name].detach().to(parameters[name].device, accumulation(parameters[name]))
            for name in self.weights
        }

    def __call__(
        self,
        forward: Forward,
        *,
        candidates: int = 1,
        batch: int = 1,
        differentiable: bool = True,
    ) -> Tensor:
        """Evaluate the distance of every candidate.

        Args:
            forward: runs the module on the R*B dummy sequences, candidate-major, and returns the
                candidates' losses, shape (R,).
            candidates: R.
            batch: B, the sequences of one candidate.
            differentiable: whether the distances can be differentiated; without it an evaluation
                costs no second-order graph.

        Returns:
            Distances, shape (R,), differentiable with respect to whatever `forward` closes over;
            candidate r's depends on candidate r only.

        Raises:
            ValueError: the losses do not have shape (R,).
        """
        # The fused attention kernels have no second derivative; the plain one has.
        with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
            distances = self._evaluate(forward, candidates, batch, differentiable)
        return distances if differentiable else distances.detach()

    @abstractmethod
    def _evaluate(
        self, forward: Forward, candidates: int, batch: int, differentiable: bool
    ) -> Tensor:
        """The algorithm: distances, shape (R,)."""


def accumulation(tensor: Tensor) -> torch.dtype:
    """The type in which sums over `tensor` are kept: float32 for half precision."""
    return torch.float32 if tensor.dtype in (torch.float16, torch.bfloat16) else tensor.dtype


def check_losses(losses: Tensor, candidates: int) -> Tensor:
    """Return `losses` as shape (R,); a scalar will do for one candidate."""
    if losses.numel() != candidates or losses.dim() > 1:
        raise ValueError(
            f"the forward closure returned losses of shape {tuple(losses.shape)}; "
            f"expected one loss a candidate, ({candidates},)"
        )
    return losses.reshape(candidates)


def table_of(parameters: Mapping[str, Tensor], name: str) -> Tensor:
    """The embedding parameter called `name`.

    Raises:
        ModelError: the model has none.
    """
    if name not in parameters:
        raise ModelError(unknown("embedding parameter", name, parameters))
    return parameters[name]
