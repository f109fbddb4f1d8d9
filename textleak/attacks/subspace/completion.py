"""Complete a sentence from one of its word-place pairs.

Let y_e be 1 for the pairs of one sentence and 0 for all others. Every context of that sentence lies in
the row space of the attention-output gradient, and is, per head, a ratio of two linear functions of
y. So y solves few hundred equations r(y) = 0 that are linear up to one normaliser per head and query,
under linear constraints: one pair at each place up to [SEP], none behind it. Gauss-Newton steps, each a
non-negative least squares problem, find it; sentences of any length compete in one problem.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from textleak.attacks.subspace.nonnegative import nonnegative_least_squares
from textleak.attacks.subspace.pairs import Array, Pairs, Query

_CONSTRAINT_WEIGHT = 3.0  # against columns of unit norm; any weight of that order serves


@dataclass(frozen=True)
class Completion:
    """The outcome of one run.

    Attributes:
        weights: (E,) the relaxed membership of every pair.
        chosen: the pairs of the sentence, by place; empty if `weights` name none.
        residual: the equations' residual, relative to their scale.
    """

    weights: Array
    chosen: tuple[int, ...]
    residual: float


def flow_constraints(pairs: Pairs, seeds: Sequence[int]) -> tuple[Array, Array]:
    """Rows C and values d of C y = d: one chain from [CLS] to a [SEP], through one of `seeds`.

    What stands at place t equals what stood at t - 1 and was no end.
    """
    width = pairs.width
    matrix = np.zeros((width + 2, len(pairs)))
    values = np.zeros(width + 2)
    matrix[0, pairs.places == 0] = 1
    for t in range(1, width):
        matrix[t, pairs.places == t] = 1
        matrix[t, (pairs.places == t - 1) & ~pairs.ends] -= 1
    matrix[width, (pairs.places == width - 1) & ~pairs.ends] = 1
    matrix[width + 1, list(seeds)] = 1
    values[0] = values[width + 1] = 1
    return matrix, values


def linearised(query: Query, y: Array) -> tuple[Array, Array]:
    """Jacobian (K, E) and error (K,) of the measurements of a query's context at membership y."""
    total = query.weights @ y  # (h,)
    heads = (torch.from_numpy(query.measured) @ torch.from_numpy(y)).numpy() / total[
        :, None
    ]  # (h, K)
    value = heads.sum(0) - query.target
    jacobian = np.einsum("hke,h->ke", query.measured, 1 / total)
    jacobian -= (heads / total[:, None]).T @ query.weights
    return jacobian, value


def complete(
    pairs: Pairs,
    seeds: Sequence[int],
    allowed: NDArray[np.bool_],
    *,
    start: Array | None = None,
    helpers: int = 0,
    steps: int = 10,
) -> Completion:
    """The sentence that holds one of the pairs `seeds`.

    Args:
        pairs: the candidates.
        seeds: pairs, exactly one of which it holds. The contexts of [CLS] and of an only seed make
            the equations.
        allowed: (E,) pairs that may be used.
        start: (E,) the first membership; by default all pairs of a place alike.
        helpers: how many further pairs, the likeliest by the last step, lend their contexts.
        steps: Gauss-Newton steps at most.
    """
    usable = allowed.copy()
    if len(seeds) == 1:
        usable &= (pairs.places != pairs.places[seeds[0]]) | (np.arange(len(pairs)) == seeds[0])
    constraints, targets = flow_constraints(pairs, seeds)
    columns = np.flatnonzero(usable)
    y = _even(pairs, usable) if start is None else start
    alone = tuple(seeds) if len(seeds) == 1 else ()
    opening = () if pairs.opening is None else (pairs.opening,)
    queries = {e: pairs.query(e) for e in dict.fromkeys((*opening, *alone))}
    residual = float("inf")
    for step in range(steps):
        if helpers and step >= 2:
            likely = [e for e in np.argsort(-y).tolist()[: 4 * helpers] if y[e] > 0.5]
            for e in likely[:helpers]:
                queries.setdefault(e, pairs.query(e))
        parts = [linearised(query, y) for query in queries.values()]
        jacobian = np.concatenate([part[0] for part in parts])
        value = np.concatenate([part[1] for part in parts])
        # The median: a false pair that would draw all attention has a column without measure.
        scale = float(np.median(np.linalg.norm(jacobian, axis=0))) / _CONSTRAINT_WEIGHT
        system = np.concatenate([jacobian / scale, constraints])[:, columns]
        target = np.concatenate([-value / scale, targets])
        support = np.flatnonzero(y[columns] > 0) if step else None
        solution = nonnegative_least_squares(system, target, support)
        residual = float(np.linalg.norm(system @ solution - target))
        last, y = y, np.zeros(len(pairs))
        y[columns] = solution
        if float(np.abs(y - last).max()) < 1e-4:
            break
        if any(float((query.weights @ y).min()) <= 0 for query in queries.values()):
            break
    return Completion(y, heaviest_chain(pairs, y), residual)


def _even(pairs: Pairs, usable: NDArray[np.bool_]) -> Array:
    counts = np.bincount(pairs.places[usable], minlength=pairs.width).clip(1)
    return np.where(usable, 1.0 / counts[pairs.places], 0.0)


def heaviest_chain(pairs: Pairs, y: Array) -> tuple[int, ...]:
    """The heaviest pair of each place up to the first [SEP]; empty where a place has none."""
    chain: list[int] = []
    for t in range(pairs.width):
        here = np.flatnonzero(pairs.places == t)
        if len(here) == 0:
            return ()
        best = int(here[np.argmax(y[here])])
        if y[best] <= 0:
            return ()
        chain.append(best)
        if pairs.ends[best]:
            return tuple(chain)
    return ()
