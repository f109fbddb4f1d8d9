"""Take the decoder's part off a tied word table's gradient.

With mean cross-entropy over M masked positions, row v of the tied table's gradient is
D_v + sum_m a_mv t_m, where D_v comes from the input, t_m is the decoder's input at masked position m,
and a_mv = (p_mv - [v is m's label]) / M. The probabilities are themselves a function of t_m,
p_m = softmax(E t_m + b), so absent words (D_v = 0) determine the t_m, and these every a_mv.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from textleak.core.budget import checkpoint
from textleak.core.randomness import stream
from textleak.evidence.mixture import Mixture


@dataclass(frozen=True)
class DecoderPart:
    """What the decoder contributed.

    Attributes:
        states: (M, H) the decoder's inputs t_m.
        labels: label of each position, -1 where a label's row is mixed with the input's.
        error: the part of absent words' rows that this does not explain, relative.
    """

    states: Tensor
    labels: list[int]
    error: float


def masked_words(bias: Tensor, positions: int) -> dict[int, int]:
    """The words under the masks and how often each, from the decoder bias's gradient (V,).

    It is the mean of softmax minus one-hot: negative where a label's count outweighs what the model
    expected of it.
    """
    found = (bias < 0).nonzero().flatten().tolist()
    return {int(v): max(1, round(-float(bias[v]) * positions)) for v in found}


def probabilities(states: Tensor, table: Tensor, bias: Tensor) -> Tensor:
    """p_m = softmax(E t_m + b) for states (M, H); (M, V)."""
    return torch.softmax(states @ table.T + bias, dim=1)


def input_rows(
    part: DecoderPart,
    gradient: Tensor,
    bias_gradient: Tensor,
    present: Tensor,
    table: Tensor,
    bias: Tensor,
) -> tuple[Tensor, dict[int, Tensor]]:
    """The input's part of the rows of a tied table.

    Args:
        part: the decoder's part.
        gradient: (V, H) of the tied table.
        bias_gradient: (V,) of the decoder's bias, negative for labels.
        present: (W,) the words of the input.
        table: (V, H) weights.
        bias: (V,) the decoder's bias.

    Returns:
        (W, H) rows, right for words that are no label; and for the index of each word that is one,
        its alternatives (A, H), one per position whose label is not settled.
    """
    m = len(part.states)
    p = probabilities(part.states.to(table.dtype), table, bias)[:, present].double()  # (M, W)
    rows = gradient[present].double() - p.T @ part.states / m
    loose = [j for j, label in enumerate(part.labels) if label < 0]
    unsure = {
        word: rows[word] + part.states[loose] / m
        for word, v in enumerate(present.tolist())
        if float(bias_gradient[v]) < 0
    }
    return rows, unsure


def decoder_part(
    gradient: Tensor,
    bias_gradient: Tensor,
    span: Tensor,
    present: Tensor,
    table: Tensor,
    bias: Tensor,
    rounds: int = 12,
    most: int = 2000,
) -> DecoderPart:
    """Solve for the decoder's inputs.

    Labels that are absent from the input show their t_m directly: their row is -t_m / M up to the
    small probabilities. The others' t_m start at the extreme rows of what is left (absent rows over
    their bias gradient are convex combinations of the t_m) and are refined by Gauss-Newton.

    Args:
        gradient: (V, H) of the tied table.
        bias_gradient: (V,) of the decoder's bias.
        span: (M, H) orthonormal rows that hold the t_m.
        present: (W,) the words of the input.
        table: (V, H) the tied table's weights.
        bias: (V,) the decoder's bias.
        rounds: at most this many alternations.
        most: absent words whose rows are looked at; each gives M equations for at most M^2 unknowns.
    """
    m = len(span)
    labels = masked_words(bias_gradient, m)
    inside = set(present.tolist())
    clean = [v for v, n in labels.items() if n == 1 and v not in inside]
    rows = (gradient @ span.T.to(gradient.dtype)).double()  # (V, M)
    words = (table @ span.T.to(table.dtype)).double()
    b = bias.double()
    absent = _sample_absent(bias_gradient, present, labels, min(60 * m + 600, most))
    problem = Mixture(rows[absent] * m, bias_gradient.double()[absent] * m, words, b, absent)
    known = -m * rows[clean]  # (c, M)
    rest = torch.zeros(0, m).double()
    if m > len(clean):
        rest = problem.extremes(known, m - len(clean))
    last = torch.cat([known, rest])
    for _ in range(rounds):
        checkpoint()
        states = torch.cat([known, rest])
        p = torch.softmax(states @ words.T + b, dim=1)  # (M, V)
        if clean:
            spread = p[:, clean].T.clone()  # (c, M)
            spread[:, : len(clean)] -= torch.eye(len(clean)).double()
            # G_y M = (p - 1) t_y + the other positions' small parts
            others = spread.clone()
            others[:, : len(clean)].fill_diagonal_(0)
            own = spread[:, : len(clean)].diagonal()[:, None]
            known = (m * rows[clean] - others @ states) / own
        if len(rest):
            rest = problem.refine(known, rest)
        states = torch.cat([known, rest])
        if float((states - last).norm()) <= 1e-9 * float(last.norm()):
            break
        last = states
    states = torch.cat([known, rest])
    return DecoderPart(states @ span, clean + [-1] * len(rest), problem.error(states))


def scaled_decoder_part(
    gradient: Tensor,
    bias_gradient: Tensor,
    span: Tensor,
    present: Tensor,
    table: Tensor,
    bias: Tensor,
) -> tuple[DecoderPart, float]:
    """`decoder_part` of gradients that carry an unknown positive factor, and that factor.

    The bias gradients of words that are no label add up to the factor times their mean probability,
    which follows from the decoder's inputs: the two are found in turn.
    """
    part, factor = decoder_part(gradient, bias_gradient, span, present, table, bias), 1.0
    if part.error < _EXPLAINED or not len(span):
        return part, factor
    positive = bias_gradient > 0
    total = float(bias_gradient[positive].double().sum())
    expected, best = 1.0, (part, factor)
    for _ in range(_TURNS):
        factor, last = total / expected, factor
        part = decoder_part(gradient / factor, bias_gradient / factor, span, present, table, bias)
        best = min(best, (part, factor), key=lambda found: found[0].error)
        if abs(factor - last) < _SETTLED * factor:
            break
        p = probabilities(part.states.to(table.dtype), table, bias)
        expected = float(p[:, positive].double().sum(1).mean())
    return best


_EXPLAINED = 1e-2  # exact rows leave 1e-4; a factor of 0.9 leaves 0.1
_TURNS, _SETTLED = 8, 1e-7


def _sample_absent(
    bias_gradient: Tensor, present: Tensor, labels: dict[int, int], most: int
) -> Tensor:
    """Absent words, half of them those that the model expects most, half drawn; (A,) ids."""
    absent = torch.ones(len(bias_gradient), dtype=torch.bool)
    absent[present] = False
    absent[list(labels)] = False
    ids = absent.nonzero().flatten()
    if len(ids) <= most:
        return ids
    likely = ids[bias_gradient[ids].argsort(descending=True)[: most // 2]]
    order = stream(0, "evidence", "absent words").permutation(len(ids))
    drawn = ids[order[: most // 2]]
    both: Tensor = torch.cat([likely, drawn]).unique()  # type: ignore[no-untyped-call]
    return both
