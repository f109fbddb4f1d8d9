"""Plain gradients: what a client computes, and the last word on how close a recovery is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn


def parameter_gradients(
    module: nn.Module,
    loss: Tensor | Callable[[], Tensor],
    names: Iterable[str] | None = None,
) -> dict[str, Tensor]:
    """First-order gradients of a scalar loss, by parameter name.

    Args:
        module: whose parameters; neither its `.grad` nor its `requires_grad` changes.
        loss: the loss, or a closure that computes it (then frozen parameters count as well).
        names: which parameters; None is all of them. A tied parameter comes once, by the name that
            `named_parameters()` gives it.

    Returns:
        One gradient a name, detached, of its parameter's shape; zeros where the loss does not
        depend on the parameter.

    Raises:
        KeyError: the module has no parameter of that name.
    """
    parameters = dict(module.named_parameters())
    chosen = {name: parameters[name] for name in (parameters if names is None else names)}
    frozen = [parameter for parameter in chosen.values() if not parameter.requires_grad]
    try:
        if not isinstance(loss, Tensor):
            for parameter in frozen:
                parameter.requires_grad_(True)
            with torch.enable_grad():
                loss = loss()
        wanted = {name: tensor for name, tensor in chosen.items() if tensor.requires_grad}
        found = torch.autograd.grad(loss, list(wanted.values()), allow_unused=True)
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)
    gradients = dict(zip(wanted, found, strict=True))
    return {name: _or_zeros(gradients.get(name), tensor) for name, tensor in chosen.items()}


def _or_zeros(gradient: Tensor | None, parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter).detach() if gradient is None else gradient.detach()


def relative_error(gradients: Mapping[str, Tensor], shared: Mapping[str, Tensor]) -> float:
    """||g - G|| / ||G|| over all shared tensors, accumulated in float64.

    Args:
        gradients: the recomputed gradients; those that were not shared are not looked at.
        shared: the shared gradients.

    Raises:
        KeyError: a shared tensor is missing from `gradients`.

    >>> relative_error({"w": torch.tensor([3.0, 4.0])}, {"w": torch.tensor([3.0, 0.0])})
    1.3333333333333333
    """
    wrong = total = 0.0
    for name, target in shared.items():
        own = gradients[name]
        target = target.to(own.device)
        difference = own - target if own.dtype == target.dtype else own.double() - target.double()
        wrong += float(torch.linalg.vector_norm(difference, dtype=torch.float64)) ** 2
        total += float(torch.linalg.vector_norm(target, dtype=torch.float64)) ** 2
    if total == 0:
        return 0.0 if wrong == 0 else float("inf")
    return float((wrong / total) ** 0.5)
