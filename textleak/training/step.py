"""A plan carried out on a batch of examples, by whoever has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from textleak.core.errors import ConfigError
from textleak.core.randomness import Stream, own_generators, stream
from textleak.core.training_plan import LocalSteps, PerExample, TrainingPlan
from textleak.gradients import parameter_gradients

Loss = Callable[[Sequence[int]], Tensor]


def train(
    module: nn.Module, plan: TrainingPlan, loss: Loss, *, count: int, seed: int | None
) -> dict[str, Tensor]:
    """What is shared after one exchange's training; the module is left as it was found.

    Args:
        module: the public model at the start of the step.
        plan: how it is trained.
        loss: the mean training loss of the examples with the given indices.
        count: the number of examples.
        seed: seeds dropout and noise; None takes them from the operating system.

    Returns:
        The gradient by parameter name. After local steps the weight delta as a pseudo-gradient,
        (weights before - weights after) / (rate * steps): the mean of the steps' gradients.

    Raises:
        ConfigError: dropout is asked for and the model has none.
    """
    device = next(module.parameters()).device
    noise = stream(seed, "training", "noise")
    with _mode(module, plan), own_generators(device, seed, "training", "dropout"):
        if plan.local is not None:
            return _local(module, plan, plan.local, loss, count, noise)
        return _gradients(module, plan, loss, range(count), noise)


def _gradients(
    module: nn.Module, plan: TrainingPlan, loss: Loss, rows: Sequence[int], noise: Stream
) -> dict[str, Tensor]:
    if plan.per_example is None:
        return parameter_gradients(module, lambda: loss(rows), plan.names)
    return _per_example(module, plan.names, plan.per_example, loss, rows, noise)


def _per_example(
    module: nn.Module,
    names: Sequence[str],
    bounds: PerExample,
    loss: Loss,
    rows: Sequence[int],
    noise: Stream,
) -> dict[str, Tensor]:
    """Example by example, which is slow and right for any model (tied tables, masked positions)."""
    total: dict[str, Tensor] = {}
    for row in rows:
        own = parameter_gradients(module, lambda row=row: loss([row]), names)  # type: ignore[misc]
        factor = min(1.0, bounds.clip / max(global_norm(own), 1e-12))
        for name, gradient in own.items():
            part = factor * gradient
            total[name] = total[name] + part if name in total else part
    spread = bounds.noise * bounds.clip
    if spread:
        for name in sorted(total):
            total[name] += spread * noise.normal(*total[name].shape).to(total[name])
    return {name: gradient / len(rows) for name, gradient in total.items()}


def _local(
    module: nn.Module,
    plan: TrainingPlan,
    local: LocalSteps,
    loss: Loss,
    count: int,
    noise: Stream,
) -> dict[str, Tensor]:
    parameters = dict(module.named_parameters())
    before = {name: parameters[name].detach().clone() for name in plan.names}
    optimiser = _optimiser(local, [parameters[name] for name in plan.names])
    try:
        for step in range(local.steps):
            gradients = _gradients(module, plan, loss, local.rows(step, count), noise)
            if local.max_norm is not None:
                factor = min(1.0, local.max_norm / max(global_norm(gradients), 1e-12))
                gradients = {name: factor * gradient for name, gradient in gradients.items()}
            if optimiser is not None:
                _step(optimiser, {parameters[name]: g for name, g in gradients.items()})
                continue
            with torch.no_grad():
                for name, gradient in gradients.items():
                    parameters[name].sub_(local.rate * gradient)
        scale = local.rate * local.steps
        return {name: (old - parameters[name].detach()) / scale for name, old in before.items()}
    finally:
        with torch.no_grad():
            for name, old in before.items():
                parameters[name].copy_(old)


def _optimiser(
    local: LocalSteps, parameters: Sequence[nn.Parameter]
) -> torch.optim.Optimizer | None:
    """Torch's own; None of plain SGD, which needs none."""
    decay = local.weight_decay or 0.0
    if local.adaptive:
        kind = torch.optim.Adam if local.optimizer == "adam" else torch.optim.AdamW
        return kind(parameters, lr=local.rate, weight_decay=decay)
    momentum = local.momentum or 0.0
    if not (momentum or decay):
        return None
    return torch.optim.SGD(parameters, lr=local.rate, momentum=momentum, weight_decay=decay)


def _step(optimiser: torch.optim.Optimizer, gradients: Mapping[nn.Parameter, Tensor]) -> None:
    """One step by these gradients; those that the parameters hold stay theirs."""
    held = {parameter: parameter.grad for parameter in gradients}
    try:
        for parameter, gradient in gradients.items():
            parameter.grad = gradient.to(parameter)
        optimiser.step()
    finally:
        for parameter, own in held.items():
            parameter.grad = own


def global_norm(gradients: Mapping[str, Tensor]) -> float:
    """The norm of all tensors as one vector.

    >>> global_norm({"a": torch.tensor([3.0]), "b": torch.tensor([4.0])})
    5.0
    """
    squares = (
        float(torch.linalg.vector_norm(g, dtype=torch.float64)) ** 2 for g in gradients.values()
    )
    return float(sum(squares) ** 0.5)


@contextmanager
def _mode(module: nn.Module, plan: TrainingPlan) -> Iterator[None]:
    """Training mode for dropout alone; modes and rates as they were, on every way out."""
    parts = list(module.modules())
    layers = [part for part in parts if isinstance(part, _DropoutNd)]
    modes, rates = [part.training for part in parts], [layer.p for layer in layers]
    if plan.dropout and not any(rate > 0 for rate in (plan.dropout_rate, *rates) if rate):
        raise ConfigError("the model has no dropout: expected a dropout layer with a rate above 0")
    module.train(plan.dropout)
    for part in parts:
        if isinstance(part, _BatchNorm):  # its statistics are part of the public model
            part.eval()
    for layer in layers:
        layer.p = layer.p if plan.dropout_rate is None else plan.dropout_rate
    try:
        yield
    finally:
        for part, training in zip(parts, modes, strict=True):
            part.training = training
        for layer, rate in zip(layers, rates, strict=True):
            layer.p = rate
