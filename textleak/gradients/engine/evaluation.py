"""The fast matcher: distances from captured factors, for all candidates in one pass."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from textleak.gradients.distances import Compared, Distance
from textleak.gradients.engine.capture import Capture, find_rules, recording
from textleak.gradients.engine.factors import Product
from textleak.gradients.engine.pairs import FactoredPair, FormedPair, Target, factors_pay, form
from textleak.gradients.engine.stand_in import stand_ins
from textleak.gradients.layers import Formed, Term
from textleak.gradients.matcher import Forward, Matcher, accumulation, check_losses
from textleak.gradients.quick.interception import QuickSecondDerivatives


class EngineMatcher(Matcher):
    """Evaluate distances without forming gradients; see the package docstring.

    Beyond `Matcher`, `__call__` raises ModelError where candidates share rows of a layer.
    """

    def __init__(self, module: nn.Module, shared: Mapping[str, Tensor], distance: Distance) -> None:
        super().__init__(module, shared, distance)
        self._targets = {name: Target(name, gradient) for name, gradient in self.shared.items()}
        self._rules = find_rules(module, self.shared)
        self._modes = _modes(module)
        self._checked: set[tuple[int, int]] = set()

    def _evaluate(
        self, forward: Forward, candidates: int, batch: int, differentiable: bool
    ) -> Tensor:
        if self._modes != _modes(self.module):  # a rule may hold in evaluation only
            self._rules, self._modes = find_rules(self.module, self.shared), _modes(self.module)
        with stand_ins(self.module, self.shared) as parameters:
            wanted = {name: parameters[name] for name in self.shared}
            names = {id(alias): name for name, alias in wanted.items()}
            capture = Capture(names, parameters, candidates, candidates * batch)
            with recording(capture, self._rules), QuickSecondDerivatives():
                losses = check_losses(forward(capture), candidates)
        if candidates > 1 and (candidates, batch) not in self._checked:
            capture.check_independence(losses)
            self._checked.add((candidates, batch))
        with torch.set_grad_enabled(differentiable):
            terms = gradient_terms(capture, losses, wanted)
            return self.distance(self._compare(terms, candidates), self.weights)

    def _compare(self, terms: Mapping[str, list[Term]], candidates: int) -> list[Compared]:
        """The tensors as factors, or, where they are small, formed and side by side by shape."""
        compared: list[Compared] = []
        formed: dict[object, list[Target]] = defaultdict(list)
        for name, target in self._targets.items():
            found = terms.get(name, [])
            if factors_pay(found, target):
                products = [term for term in found if isinstance(term, Product)]
                compared.append(FactoredPair(products, target))
            else:
                alone = name if self.distance.by_rows(name) else None
                formed[target.shared.shape, alone].append(target)
        for targets in formed.values():
            gradients = [form(terms.get(target.name, []), target, candidates) for target in targets]
            compared.append(FormedPair(gradients, targets))
        return compared


def gradient_terms(
    capture: Capture, losses: Tensor, parameters: Mapping[str, Tensor]
) -> dict[str, list[Term]]:
    """Gradient terms: captured ones, and plain ones of parameters that are used in any other way.

    A recognised layer keeps its parameters out of autograd. What autograd still reaches is a use
    that no rule knows, and gets its gradient the plain way, one candidate at a time.
    """
    edges: list[Any] = [call.edge for call in capture.calls]
    slopes = _slopes(losses, torch.ones_like(losses), edges + list(parameters.values()))
    count = len(edges)
    terms = capture.terms(slopes[:count])
    direct = {
        name: slope
        for name, slope in zip(parameters, slopes[count:], strict=True)
        if slope is not None
    }
    for name, values in _each_candidate(losses, parameters, direct).items():
        terms[name].append(Formed(values))
    return terms


def _each_candidate(
    losses: Tensor, parameters: Mapping[str, Tensor], direct: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The plain gradients of each candidate, (R, *shape), given those of the summed loss."""
    if not direct:
        return {}
    rows: list[Sequence[Tensor | None]] = [list(direct.values())]
    if len(losses) > 1:
        wanted = [parameters[name] for name in direct]
        rows = [_slopes(losses, one, wanted) for one in torch.eye(len(losses)).to(losses)]
    found: dict[str, Tensor] = {}
    for name, *slopes in zip(direct, *rows, strict=True):
        zeros = torch.zeros_like(direct[name])
        values = torch.stack([zeros if slope is None else slope for slope in slopes])
        found[name] = values.to(accumulation(values))
    return found


def _slopes(losses: Tensor, shares: Tensor, sources: Sequence[Any]) -> Sequence[Tensor | None]:
    """Gradients of sum(losses * shares) at tensors and edges, with a graph if those are enabled."""
    again = torch.is_grad_enabled()
    return torch.autograd.grad(
        losses, sources, shares, create_graph=again, retain_graph=True, allow_unused=True
    )


def _modes(module: nn.Module) -> list[bool]:
    return [part.training for part in module.modules()]
