"""How far the gradients of many batches lie from one batch's, without forming any.

Candidate 0 is the batch that the others are compared with. A layer's gradient is a sum of products
Dᵀ A of thin factors, so ||g_r - g_0||² = <g_r, g_r> - 2 <g_0, g_r> + <g_0, g_0>, each an inner product of
factors as in the engine, whose capture this uses. It cancels: half of the digits of ||g_0|| are left.

A random projection of the gradient, <g, a bᵀ> with normal a and b, has the mean square ||g||². One
backward pass gives the slopes of R such projections at the word embeddings, from which the length of
the change that any word would make is estimated, for the whole vocabulary at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from textleak.core.randomness import Stream
from textleak.gradients.engine.capture import Capture, find_rules, recording
from textleak.gradients.engine.evaluation import gradient_terms
from textleak.gradients.engine.factors import Dense, Mixture, OneHot, Product
from textleak.gradients.engine.stand_in import stand_ins
from textleak.gradients.layers import Term
from textleak.gradients.matcher import Forward, check_losses
from textleak.gradients.quick.interception import QuickSecondDerivatives


class Inner(NamedTuple):
    """Inner products of every candidate's gradient, tensor by tensor; each (P, R) in double precision.

    Attributes:
        dot: with candidate 0's.
        squared: with its own.
    """

    dot: Tensor
    squared: Tensor

    @property
    def distances(self) -> Tensor:
        """||g_r - g_0||², (P, R)."""
        return (self.squared - 2 * self.dot + self.squared[:, :1]).clamp_min(0)


class Against(NamedTuple):
    """Every candidate's gradient g beside a shared one G, tensor by tensor; each (P, R).

    Attributes:
        dot: <g, G>.
        squared: <g, g>.
    """

    dot: Tensor
    squared: Tensor


class Contrasts:
    """Compares gradients of candidates with candidate 0's, for any module.

    Args:
        module: the public model; it is left as it was found.
        names: the parameters that are compared.
    """

    def __init__(self, module: nn.Module, names: Iterable[str]) -> None:
        self._module = module
        self.names = list(names)
        self._rules = find_rules(module, self.names)

    def inner(self, forward: Forward, candidates: int) -> Inner:
        """The inner products, `forward` as for a `Matcher`, one sequence a candidate."""
        terms = self._captured(forward, candidates, differentiable=False)
        with torch.no_grad():
            rows = [_inner(terms.get(name, []), candidates) for name in self.names]
        dots, squares = zip(*rows, strict=True)
        return Inner(torch.stack(dots), torch.stack(squares))

    def against(
        self,
        forward: Forward,
        candidates: int,
        shared: Mapping[str, Tensor],
        batch: int = 1,
    ) -> Against:
        """Inner products with a shared gradient, which may be dense (noisy).

        Args:
            forward: as for a `Matcher`.
            candidates: R.
            shared: the shared gradient of every one of `names`.
            batch: sequences a candidate.
        """
        terms = self._captured(forward, candidates, batch, differentiable=False)
        with torch.no_grad():
            pairs = [_against(terms.get(name, []), shared[name], candidates) for name in self.names]
            dots, squares = zip(*pairs, strict=True)
            return Against(torch.stack(dots), torch.stack(squares))

    def projected(
        self, forward: Forward, candidates: int, draws: Stream, weights: Mapping[str, float]
    ) -> Tensor:
        """A random projection of each candidate's gradient, (R,), differentiable.

        Args:
            forward: as for a `Matcher`; the candidates may be the same batch R times.
            candidates: R.
            draws: where the directions come from.
            weights: a factor on each tensor; those without one are left out.
        """
        terms = self._captured(forward, candidates, differentiable=True)
        parts = [
            weights[name] * _projection(term, draws)
            for name in self.names
            if name in weights
            for term in terms.get(name, [])
        ]
        return torch.stack(parts).sum(0)

    def _captured(
        self, forward: Forward, candidates: int, batch: int = 1, *, differentiable: bool
    ) -> Mapping[str, list[Term]]:
        with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
            with stand_ins(self._module, self.names) as parameters:
                wanted = {name: parameters[name] for name in self.names}
                by_identity = {id(alias): name for name, alias in wanted.items()}
                capture = Capture(by_identity, parameters, candidates, candidates * batch)
                with recording(capture, self._rules), QuickSecondDerivatives():
                    losses = check_losses(forward(capture), candidates)
            with torch.set_grad_enabled(differentiable):
                return gradient_terms(capture, losses, wanted)


def _inner(terms: list[Term], candidates: int) -> tuple[Tensor, Tensor]:
    """<g_0, g_r> and <g_r, g_r> of one tensor, each (R,)."""
    dot = torch.zeros(candidates, dtype=torch.double)
    squared = torch.zeros(candidates, dtype=torch.double)
    for one in terms:
        for other in terms:
            dot += _cross(_first(one), other).cpu()
            squared += _cross(one, other).cpu()
    return dot, squared


def _against(terms: list[Term], shared: Tensor, candidates: int) -> tuple[Tensor, Tensor]:
    """<g_r, G> and <g_r, g_r> of one tensor, each (R,)."""
    dot = torch.zeros(candidates, dtype=torch.double)
    squared = torch.zeros(candidates, dtype=torch.double)
    for index, one in enumerate(terms):
        if isinstance(one, Product):
            along = one.left.times(shared.to(one.right)) * one.right  # (R, n, columns)
        else:
            along = one.values * shared.to(one.values)
        dot += along.flatten(1).sum(1, dtype=torch.double).cpu()
        squared += _cross(one, one).cpu()
        for other in terms[:index]:
            squared += 2 * _cross(one, other).cpu()
    return dot, squared


def _first(term: Term) -> Term:
    return term.only(0) if isinstance(term, Product) else type(term)(term.values[:1])


def _cross(one: Term, other: Term) -> Tensor:
    """The inner product of two terms a candidate, (R,); `one` may have one candidate for all."""
    if isinstance(one, Product) and isinstance(other, Product):
        grams = one.left.gram(other.left) * (one.right @ other.right.mT)  # (R, n, n')
        return grams.flatten(1).sum(1, dtype=torch.double)
    if isinstance(one, Product) or isinstance(other, Product):
        both = _formed(one, other) * _formed(other, one)
        return both.flatten(1).sum(1, dtype=torch.double)
    return (one.values * other.values).flatten(1).sum(1, dtype=torch.double)


def _formed(term: Term, beside: Term) -> Tensor:
    """A term in full, (R, *shape); the other of the two says how many rows there are."""
    if not isinstance(term, Product):
        return term.values
    rows = 0 if isinstance(beside, Product) else beside.values.shape[1]
    return term.left.outer(term.right, rows)


def _projection(term: Term, draws: Stream) -> Tensor:
    """A random projection of one term a candidate, (R,)."""
    if not isinstance(term, Product):
        values = term.values.flatten(1)
        return (values * draws.normal(*values.shape).to(values)).sum(1)
    left, right = term
    count, _, columns = right.shape
    b = draws.normal(count, columns, 1).to(right)
    along = (right @ b).squeeze(2)  # (R, n)
    if isinstance(left, OneHot):
        own = draws.normal(count, int(left.ids.max()) + 1).to(right).gather(1, left.ids)
        return (own * along).sum(1)
    assert isinstance(left, Dense | Mixture)
    rows = left.values if isinstance(left, Dense) else left.weights
    a = draws.normal(count, rows.shape[2], 1).to(rows)
    return ((rows @ a).squeeze(2) * along).sum(1)
