"""One forward pass in which recognised layers keep what their gradients are made of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from textleak.gradients.factors import Dense, Mixture, Product
from textleak.gradients.layers import Rule, Term, by_candidate, rule_for

Terms = dict[str, list[Term]]
MakeTerms = Callable[[Tensor], Iterator[tuple[str, Term]]]


@dataclass
class Capture:
    """The calls of one forward pass.

    Attributes:
        names: identity of a parameter (or its stand-in) to its name.
        candidates: R.
        sequences: R*B, the leading axis.
    """

    names: Mapping[int, str]
    tables: Mapping[str, Tensor]
    candidates: int
    sequences: int
    edges: list[GradientEdge] = field(default_factory=list)
    makers: list[MakeTerms] = field(default_factory=list)

    def lookup(self, name: str, weights: Tensor, rows: Tensor | None = None) -> Tensor:
        """See `Recorder.lookup`."""
        table = self.tables[name].detach()
        if rows is not None:
            table = table[rows]
        wide = by_candidate(weights, self.candidates)

        def terms(slope: Tensor) -> Iterator[tuple[str, Term]]:
            left = Dense(wide) if rows is None else Mixture(wide, rows)
            yield name, Product(left, by_candidate(slope, self.candidates))

        return self._keep(weights @ table, terms)

    def call(self, rule: Rule, module: nn.Module, inputs: Tensor) -> Tensor:
        """Run a recognised layer and keep the call."""
        if self._shared_by_candidates(inputs):
            inputs = inputs.expand(self.sequences, *inputs.shape[1:])
        if inputs.shape[0] % self.candidates:
            raise ValueError(
                f"{type(module).__name__} was called with leading axis {inputs.shape[0]}; "
                f"expected a multiple of the {self.candidates} candidates (candidate-major rows)"
            )
        output, saved = rule.run(module, inputs)
        keys = {
            key: self.names[id(value)]
            for key, value in module._parameters.items()
            if id(value) in self.names
        }

        def terms(slope: Tensor) -> Iterator[tuple[str, Term]]:
            for key, term in rule.terms(module, saved, slope, self.candidates):
                if key in keys:
                    yield keys[key], term

        return self._keep(output, terms)

    def _shared_by_candidates(self, inputs: Tensor) -> bool:
        """Broadcast inputs (position ids) need a row of their own for each candidate."""
        return self.candidates > 1 and inputs.shape[0] == 1

    def _keep(self, output: Tensor, terms: MakeTerms) -> Tensor:
        if not output.requires_grad:
            # Nothing before it depends on the dummy, but its gradient is wanted all the same.
            output = output.requires_grad_().clone()
        self.edges.append(get_gradient_edge(output))
        self.makers.append(terms)
        return output

    def terms(self, slopes: list[Tensor | None]) -> Terms:
        """The terms of every parameter's gradient, from the gradients at `edges`."""
        found: Terms = defaultdict(list)
        for maker, slope in zip(self.makers, slopes, strict=True):
            if slope is not None:
                for name, term in maker(slope):
                    found[name].append(term)
        return found


@contextmanager
def recording(
    module: nn.Module, capture: Capture, rules: Mapping[nn.Module, Rule]
) -> Iterator[None]:
    """Let the recognised layers run through `capture`; put their forward back on every way out."""
    try:
        for layer, rule in rules.items():
            layer.__dict__["forward"] = _route(capture, rule, layer)
        yield
    finally:
        for layer in rules:
            layer.__dict__.pop("forward", None)


def _route(capture: Capture, rule: Rule, layer: nn.Module) -> Callable[[Tensor], Tensor]:
    def forward(input: Tensor) -> Tensor:
        return capture.call(rule, layer, input)

    return forward


def find_rules(module: nn.Module, names: Mapping[str, object]) -> dict[nn.Module, Rule]:
    """The layers that own a parameter in `names` and have a rule."""
    wanted = {id(value) for name, value in module.named_parameters() if name in names}
    found = {}
    for part in module.modules():
        if any(id(value) in wanted for value in part._parameters.values()):
            rule = rule_for(part)
            if rule is not None:
                found[part] = rule
    return found
