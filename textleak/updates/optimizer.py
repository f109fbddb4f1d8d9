r"""Gradients in an optimiser's state: what Adam and SGD with momentum keep is the gradient itself.

After the first step Adam's first moment is $(1 - \beta_1) g$ and SGD's buffer is $g$ (Kingma and Ba, 2015,
algorithm 1; torch's SGD does not damp the first step). Weight decay that is part of the gradient
(Adam's and SGD's, not AdamW's) adds $\lambda w$, which is public. After $k$ steps the moment is
$(1 - \beta_1) \sum_i \beta_1^{k - i} g_i$: a mixture in which the last step weighs most.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from textleak.core.errors import UpdateError

MOMENTS = ("exp_avg", "momentum_buffer")
# Names that Trainer gives no weight decay, which it therefore keeps in a second group.
_UNDECAYED = re.compile(r"bias|layernorm|rmsnorm|(?:^|\.)norm(?:$|\.)|_norm(?:$|\.)")


@dataclass(frozen=True)
class OptimizerState:
    """What an optimiser kept of each parameter, in the order of its groups.

    Attributes:
        moments: the first moment or momentum buffer; None for a parameter without a gradient.
        groups: how many parameters each group has.
        factors: what a moment is of its gradient after the first step, by group.
        decays: the weight decay inside the gradient, by group.
        steps: how many steps were taken; None where the state does not say.
    """

    moments: tuple[Tensor | None, ...]
    groups: tuple[int, ...]
    factors: tuple[float, ...]
    decays: tuple[float, ...]
    steps: int | None

    @property
    def said(self) -> str:
        """What the gradients were taken from."""
        if self.steps == 1:
            return "gradients of the first step, from the optimiser's state"
        many = "an unknown number of" if self.steps is None else str(self.steps)
        return f"a mixture of the gradients of {many} steps, from the optimiser's state"


def is_optimizer(content: Any) -> bool:
    """Whether what was loaded is the state dict of an optimiser."""
    return isinstance(content, Mapping) and {"state", "param_groups"} <= content.keys()


def optimizer_state(content: Mapping[str, Any], source: str) -> OptimizerState:
    """The moments in an optimiser's state dict.

    Raises:
        UpdateError: it keeps none that is a gradient.
    """
    try:
        kept, groups = dict(content["state"]), list(content["param_groups"])
        order = [index for group in groups for index in group["params"]]
        entries = [dict(kept.get(index, {})) for index in order]
        factors = [_factor(group, entries) for group in groups]
        decays = [_decay(group) for group in groups]
        counts = [entry["step"] for entry in entries if "step" in entry]
        steps = max(int(count) for count in counts) if counts else None
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise UpdateError(f"{source!r} is no optimiser's state dict of torch") from error
    moments = tuple(_moment(entry) for entry in entries)
    if not any(moment is not None for moment in moments):
        raise UpdateError(
            f"{source!r} keeps no gradient: expected {' or '.join(MOMENTS)}, as Adam and SGD with "
            "momentum have"
        )
    return OptimizerState(
        moments,
        tuple(len(group["params"]) for group in groups),
        tuple(factors),
        tuple(decays),
        steps,
    )


def _moment(entry: Mapping[str, Any]) -> Tensor | None:
    found = next((entry[key] for key in MOMENTS if key in entry), None)
    return found if isinstance(found, Tensor) and found.is_floating_point() else None


def _factor(group: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> float:
    sign = -1.0 if group.get("maximize") else 1.0
    if any("exp_avg" in entry for entry in entries):
        return sign * (1 - float(group["betas"][0]))
    return sign


def _decay(group: Mapping[str, Any]) -> float:
    """What of the weights is in the gradient; AdamW's decay, torch's default by name, is not."""
    decoupled = bool(group.get("decoupled_weight_decay", "betas" in group))
    return 0.0 if decoupled else float(group.get("weight_decay", 0.0))


def named_moments(state: OptimizerState, module: nn.Module, source: str) -> dict[str, Tensor]:
    """The gradients behind a state's moments, by the model's names.

    Raises:
        UpdateError: the moments fit the model in no order that is known.
    """
    parameters = {n: p for n, p in module.named_parameters() if p.requires_grad}
    for order in _orders(parameters, state.groups):
        pairs = list(zip(order, state.moments, strict=True))
        if all(m is None or m.shape == parameters[name].shape for name, m in pairs):
            return _gradients(state, parameters, order)
    raise UpdateError(
        f"{source!r} keeps {len(state.moments)} moments in {len(state.groups)} groups, which fit the "
        f"model's {len(parameters)} trained parameters in no order that is known"
    )


def _gradients(
    state: OptimizerState, parameters: Mapping[str, Tensor], order: Sequence[str]
) -> dict[str, Tensor]:
    group = [number for number, size in enumerate(state.groups) for _ in range(size)]
    found = {}
    for name, moment, number in zip(order, state.moments, group, strict=True):
        if moment is not None:
            gradient = moment / state.factors[number]
            decay = state.decays[number]
            if decay:
                gradient = _without_decay(gradient, decay * parameters[name].detach().cpu())
            found[name] = gradient
    return found


def _without_decay(gradient: Tensor, decayed: Tensor) -> Tensor:
    """A gradient without the weights' share; what is left of rounding alone is zero."""
    rest = gradient - decayed
    rounding = 4 * torch.finfo(gradient.dtype).eps * decayed.abs()
    return torch.where(rest.abs() <= rounding, torch.zeros_like(rest), rest)


def _orders(parameters: Mapping[str, Tensor], groups: Sequence[int]) -> Iterator[list[str]]:
    """The orders in which an optimiser with such groups may hold the parameters."""
    names = list(parameters)
    if sum(groups) != len(names):
        return
    yield names
    rules: list[Callable[[str], bool]] = [
        lambda name: not _UNDECAYED.search(name.lower()),  # transformers' Trainer
        lambda name: parameters[name].dim() >= 2,
        lambda name: not name.endswith(("bias", "LayerNorm.weight")),
    ]
    for rule in rules if len(groups) == 2 else []:
        decayed = [name for name in names if rule(name)]
        others = [name for name in names if not rule(name)]
        if len(decayed) == groups[0]:
            yield decayed + others
        if len(others) == groups[0]:
            yield others + decayed
