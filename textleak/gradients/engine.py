"""The fast matcher: distances from captured factors, for all candidates in one pass."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from textleak.gradients.capture import Capture, Terms, find_rules, recording
from textleak.gradients.distances import Distance
from textleak.gradients.layers import Formed
from textleak.gradients.matcher import Forward, Matcher, accumulation, check_losses, stand_ins
from textleak.gradients.pairs import Target, pair


class EngineMatcher(Matcher):
    """Evaluate distances without forming gradients; see the package docstring."""

    def __init__(self, module: nn.Module, shared: Mapping[str, Tensor], distance: Distance) -> None:
        super().__init__(module, shared, distance)
        self._targets = {name: Target(gradient) for name, gradient in self.shared.items()}
        self._rules = find_rules(module, self.shared)

    def _evaluate(
        self, forward: Forward, candidates: int, batch: int, differentiable: bool
    ) -> Tensor:
        with stand_ins(self.module, self.shared) as parameters:
            names = {id(parameters[name]): name for name in self.shared}
            capture = Capture(names, parameters, candidates, candidates * batch)
            with recording(self.module, capture, self._rules):
                losses = check_losses(forward(capture), candidates)
        terms = self._terms(
            capture, losses, {name: parameters[name] for name in self.shared}, differentiable
        )
        compared = {
            name: pair(terms.get(name, ()), target, candidates)
            for name, target in self._targets.items()
        }
        return self.distance(compared, self.weights)

    def _terms(
        self,
        capture: Capture,
        losses: Tensor,
        parameters: Mapping[str, Tensor],
        differentiable: bool,
    ) -> Terms:
        """Gradient terms: captured ones, and plain ones of parameters used in any other way.

        A recognised layer keeps its parameters out of autograd. What autograd still reaches is a
        use that no rule knows, and gets its gradient the plain way, one candidate at a time.
        """
        slopes = torch.autograd.grad(
            losses.sum(),
            [*capture.edges, *parameters.values()],
            create_graph=differentiable,
            retain_graph=True,
            allow_unused=True,
        )
        count = len(capture.edges)
        terms = capture.terms(list(slopes[:count]))
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
    rows = [list(direct.values())]
    if len(losses) > 1:
        wanted = [parameters[name] for name in direct]
        rows = [
            list(torch.autograd.grad(loss, wanted, create_graph=True, materialize_grads=True))
            for loss in losses
        ]
    return {
        name: torch.stack(values).to(accumulation(values[0]))
        for name, *values in zip(direct, *rows, strict=True)
    }
