"""How far rounding may take an evaluation from the same one in float64: no number of any processor.

The reference is the oracle in float64, on the same weights, dummies and shared gradients. Two things
take an evaluation in another type away from it. The case amplifies rounding (a tanh saturates, a
softmax is nearly one-hot): the oracle in that type shows by how much. And a distance is a difference
of larger terms, ||g||² - 2 <g, G> + ||G||² or 1 - cos, each a sum of up to n products: their rounding is
owed to any way of summing them.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from gradients.cases import Case, evaluate
from torch import Tensor

from textleak.gradients import Distance, EngineMatcher, OracleMatcher
from textleak.gradients.matcher import accumulation

# Three bits: two ways to the same numbers round at other places, so their errors are alike in size
# only. The oracle's is read off slopes, norms over many numbers that chance hardly makes small.
TIMES_THE_ORACLE = 8.0
# A sum of n terms is wrong by less than DEVIATIONS * sqrt(n) * eps / 2 of their sizes, but for once
# in 1500 (Higham and Mary 2019, "A new approach to probabilistic rounding error analysis", 2.4).
DEVIATIONS = 4.0


class Errors(NamedTuple):
    """Relative errors of each candidate's distance and slope, each (R,)."""

    distance: Tensor
    slope: Tensor


def hold_to_reference(
    case: Case, shared: dict[str, Tensor], distance: Distance, candidates: int
) -> None:
    """Assert that the engine is right in the case's own type and, as far as that is finer, in float64."""
    own = next(case.module.parameters()).dtype
    shared = {name: shared[name] for name in distance.select(shared)}
    dummy = case.dummy(candidates * case.batch)
    engine, oracle = (
        evaluate(held(case.module, shared, distance), case, dummy, candidates)
        for held in (EngineMatcher, OracleMatcher)
    )
    assert engine[0].dtype == accumulation(dummy)
    assert engine[1].dtype == own
    case.module.double()
    shared = {name: gradient.double() for name, gradient in shared.items()}
    dummy = dummy.detach().double().requires_grad_()
    reference = evaluate(OracleMatcher(case.module, shared, distance), case, dummy, candidates)
    most = allowed(oracle, reference, shared, distance)
    assert_within(errors(engine, reference), most, 1)
    finer = torch.finfo(torch.float64).eps / torch.finfo(own).eps
    if any(type(part).__name__ == "LlamaRMSNorm" for part in case.module.modules()):
        finer = 1  # such a norm computes in float32 by its own code, whatever the type
    again = evaluate(EngineMatcher(case.module, shared, distance), case, dummy, candidates)
    assert_within(errors(again, reference), most, finer)


def allowed(
    oracle: tuple[Tensor, Tensor],
    reference: tuple[Tensor, Tensor],
    shared: dict[str, Tensor],
    distance: Distance,
) -> Errors:
    """The largest errors that may be: a multiple of the oracle's and what the terms' rounding comes to.

    A slope is the distance's derivative, whose terms are to it as ||G|| to ||g - G||: the root.
    """
    seen = torch.stack(errors(oracle, reference)).max()  # a single number may be right by luck
    count = max(gradient.numel() for gradient in shared.values())
    unit = torch.finfo(accumulation(oracle[1])).eps / 2
    rounding = DEVIATIONS * count**0.5 * unit
    larger = cancelled(reference[0], shared, distance)
    return Errors(
        TIMES_THE_ORACLE * seen + rounding * larger,
        TIMES_THE_ORACLE * seen + rounding * larger.sqrt(),
    )


def cancelled(distances: Tensor, shared: dict[str, Tensor], distance: Distance) -> Tensor:
    """How many times larger than the distances (R,) the terms are that they are differences of.

    ||g||² + 2 <g, G> + ||G||² is at most 4 ||g - G||² + 6 ||G||²; 1 + cos is at most 2.
    """
    if distance.kind in ("cosine", "cosine-all"):
        return 2 / distances
    constant = 1.0  # ||G||² beside itself
    if distance.kind != "relative-l2":
        weights = distance.select(shared)
        constant = sum(weights[name] * float(shared[name].square().sum()) for name in weights)
    return 4 + 6 * constant / distances


def errors(found: tuple[Tensor, Tensor], reference: tuple[Tensor, Tensor]) -> Errors:
    """Those of distances (R,) and a slope (R*B, ...) against the reference."""
    candidates = len(reference[0])
    slope, right = (each.double().reshape(candidates, -1) for each in (found[1], reference[1]))
    return Errors(
        (found[0].double() - reference[0]).abs() / reference[0],
        (slope - right).norm(dim=1) / right.norm(dim=1),
    )


def assert_within(found: Errors, most: Errors, finer: float) -> None:
    for got, bound in zip(found, most, strict=True):
        assert (got <= finer * bound).all(), (found, most, finer)
