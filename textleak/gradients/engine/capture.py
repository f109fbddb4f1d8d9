"""One forward pass in which recognised layers keep what their gradients are made of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from textleak.core.errors import ModelError
from textleak.gradients.engine.factors import Dense, Mixture, Product
from textleak.gradients.layers import Rule, Term, rule_for
from textleak.gradients.layers.rule import by_candidate
from textleak.gradients.matcher import table_of


class Call(NamedTuple):
    """One call of a layer.

    Attributes:
        layer: what is called, for messages.
        edge: where the output enters autograd's graph. The tensor itself may be overwritten later,
            by an activation in place, say.
        axis: the length of the output's leading axis.
        terms: the gradient terms by parameter name, given the gradient at `edge`.
    """

    layer: str
    edge: GradientEdge
    axis: int
    terms: Callable[[Tensor], Iterator[tuple[str, Term]]]


@dataclass
class Capture:
    """The recorder of one forward pass, which keeps every call.

    Attributes:
        names: the wanted parameters' names by the identity of their stand-ins.
        parameters: the stand-ins of all parameters by name.
        candidates: R.
        sequences: R*B.
    """

    names: Mapping[int, str]
    parameters: Mapping[str, Tensor]
    candidates: int
    sequences: int
    calls: list[Call] = field(default_factory=list)

    def lookup(self, name: str, weights: Tensor, rows: Tensor | None = None) -> Tensor:
        """See `Recorder.lookup`."""
        table = table_of(self.parameters, name).detach()
        mixed = weights @ (table if rows is None else table[rows])

        def terms(slope: Tensor) -> Iterator[tuple[str, Term]]:
            wide = by_candidate(weights, self.candidates)
            left = Dense(wide) if rows is None else Mixture(wide, rows)
            yield name, Product(left, by_candidate(slope, self.candidates))

        return self._keep(f"lookup of {name}", mixed, terms)

    def call(self, rule: Rule, module: nn.Module, inputs: Tensor) -> Tensor:
        """Run a recognised layer and keep the call."""
        layer = type(module).__name__
        if self.candidates > 1 and inputs.shape[0] == 1:
            # Broadcast inputs (position ids) need a row of their own for each candidate.
            inputs = inputs.expand(self.sequences, *inputs.shape[1:])
        if self.candidates > 1 and inputs.shape[0] % self.candidates:
            raise _mixed(layer, f"leading axis {inputs.shape[0]}", self.candidates)
        output, saved = rule.run(module, inputs)
        version = saved._version
        keys = {
            key: self.names[id(value)]
            for key, value in module._parameters.items()
            if id(value) in self.names
        }

        def terms(slope: Tensor) -> Iterator[tuple[str, Term]]:
            if saved._version != version:
                raise ModelError(f"the input of a {layer} was overwritten in place after the call")
            for key, term in rule.terms(module, saved, slope, self.candidates):
                if key in keys:
                    yield keys[key], term

        return self._keep(layer, output, terms)

    def _keep(
        self, layer: str, output: Tensor, terms: Callable[[Tensor], Iterator[tuple[str, Term]]]
    ) -> Tensor:
        if not output.requires_grad:
            # Nothing before it depends on the dummy, but its gradient is wanted all the same.
            output = output.requires_grad_().clone()
        self.calls.append(Call(layer, get_gradient_edge(output), output.shape[0], terms))
        return output

    def terms(self, slopes: Sequence[Tensor | None]) -> dict[str, list[Term]]:
        """The terms of every parameter's gradient, from the gradients at the calls' edges."""
        found: dict[str, list[Term]] = defaultdict(list)
        for call, slope in zip(self.calls, slopes, strict=True):
            if slope is not None:
                for name, term in call.terms(slope):
                    found[name].append(term)
        return found

    def check_independence(self, losses: Tensor) -> None:
        """Raise ModelError unless the first candidate's loss leaves all other candidates' rows alone.

        Rows that are not candidate-major, and layers that mix the batch, would otherwise give wrong
        distances without a word.
        """
        edges = [call.edge for call in self.calls]
        slopes = torch.autograd.grad(losses[0], edges, retain_graph=True, allow_unused=True)
        for call, slope in zip(self.calls, slopes, strict=True):
            own = call.axis // self.candidates
            if slope is not None and (call.axis % self.candidates or bool(slope[own:].any())):
                raise _mixed(call.layer, "rows that candidates share", self.candidates)


def _mixed(layer: str, what: str, candidates: int) -> ModelError:
    return ModelError(
        f"a {layer} was called with {what}; expected candidate-major rows, a share of their own for "
        f"each of the {candidates} candidates (evaluate with candidates=1 where that cannot be)"
    )


@contextmanager
def recording(capture: Capture, rules: Mapping[nn.Module, Rule]) -> Iterator[None]:
    """Let the recognised layers run through `capture`; put their forward back on every way out."""
    try:
        for layer, rule in rules.items():
            layer.__dict__["forward"] = _route(capture, rule, layer)
        yield
    finally:
        for layer in rules:
            layer.__dict__.pop("forward", None)


def _route(capture: Capture, rule: Rule, layer: nn.Module) -> Callable[..., Tensor]:
    def forward(*args: Tensor, **kwargs: Tensor) -> Tensor:
        (inputs,) = (*args, *kwargs.values())
        return capture.call(rule, layer, inputs)

    return forward


def find_rules(module: nn.Module, wanted: Container[str]) -> dict[nn.Module, Rule]:
    """The layers that own a wanted parameter and have a rule."""
    identities = {id(value) for name, value in module.named_parameters() if name in wanted}
    found = {}
    for part in module.modules():
        if any(id(value) in identities for value in part._parameters.values()):
            rule = rule_for(part)
            if rule is not None:
                found[part] = rule
    return found
