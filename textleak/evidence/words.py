"""Which words and places a batch used, from the gradients of the embedding tables."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from textleak.core.randomness import stream
from textleak.evidence.spans import spectral_rank


@dataclass(frozen=True)
class UsedWords:
    """The words of a batch and what is known of their input gradients.

    Attributes:
        ids: (W,) word ids, rising.
        deltas: (W, H) the sum of the gradients at the inputs of all places of each word, float64;
            for a tied table without the part inside `decoder`.
        decoder: (M, H) orthonormal rows that span the decoder's part of a tied table; (0, H) untied.
        exact: the decoder's span explains the rows of absent words to single precision.
    """

    ids: Tensor
    deltas: Tensor
    decoder: Tensor
    exact: bool = True


def is_noisy(gradient: Tensor) -> bool:
    """Whether noise was added to a table's gradient: no row of it is zero."""
    return bool((gradient != 0).any(1).all())


def active_rows(gradient: Tensor) -> Tensor:
    """The rows of an embedding table's gradient that were looked up; (n,) indices.

    Rows that were not looked up are exactly zero, or all alike where noise was added; they are most
    of the table.
    """
    norms: Tensor = gradient.double().norm(dim=1)
    if bool((norms == 0).any()):
        return norms.nonzero().flatten()
    # Norms of Gaussian rows of width H scatter by 1 / sqrt(2 H) around the median.
    above: Tensor = norms > norms.median() * (1 + 6 / (2 * gradient.shape[1]) ** 0.5)
    return above.nonzero().flatten()


def correlated_rows(words: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """The rows of both embedding tables that were looked up, where noise fills the tables.

    A word at a place adds the same gradient to its row and to the place's row. So the two correlate,
    far beyond what independent noise does, even where noise hides that either row is there at all.

    Args:
        words: (V, H) gradient of the word table.
        places: (T, H) gradient of the position table.

    Returns:
        (W,) indices of words, rising, and (t,) of places, from the first to the last one used.
    """
    cosines = normalize(words, dim=1) @ normalize(places, dim=1).T  # (V, T)
    clear = cosines * words.shape[1] ** 0.5 > _CORRELATED
    used = clear.any(0).nonzero().flatten()
    found: Tensor = clear.any(1).nonzero().flatten()
    return found, torch.arange(int(used.max()) + 1 if len(used) else 0)


def untied_words(gradient: Tensor, at_places: Tensor | None = None) -> UsedWords:
    """The words of the batch from the gradient (V, H) of a word table that only the input uses.

    Args:
        gradient: of the word table.
        at_places: (T, H) gradient of the position table, if shared; it helps under noise.
    """
    ids = active_rows(gradient)
    if at_places is not None and is_noisy(gradient):
        ids = torch.unique(torch.cat([ids, correlated_rows(gradient, at_places)[0]]))
    return UsedWords(ids, gradient[ids].double(), torch.zeros(0, gradient.shape[1]).double())


def tied_words(
    gradient: Tensor, at_places: Tensor | None = None, present: Tensor | None = None
) -> UsedWords:
    """The words of the batch from the gradient (V, H) of a table that input and decoder share.

    Every row has a decoder part; these parts span at most as many dimensions as positions bore loss.
    The rows of absent words have nothing else, and they are most of the table: the span is found on
    row-normalised rows, and rows that do not lie in it are the words of the batch. Where noise or
    rounding blurs the span, the words are the rows that are large for what they are, and those that
    correlate with a place's; masked words may then be among them. Where most rows are zero, because
    they were rounded or pruned away, the words are the others.

    Args:
        gradient: of the table.
        at_places: (T, H) gradient of the position table, if shared; it helps under noise.
        present: (W,) the words of the batch, rising, where other evidence tells them.
    """
    if present is not None:
        return _of_present(gradient, present)
    norms = gradient.norm(dim=1)
    lively = norms > 0
    if 2 * int(lively.sum()) < len(gradient):  # rounding or pruning took the decoder's part away
        ids = lively.nonzero()[:, 0]
        rows = gradient[ids].double()
        return UsedWords(ids, rows, rows[:0], exact=False)
    decoder = _majority_span(gradient[lively])
    if float((gradient[lively] == 0).float().mean()) > _PRUNED:
        decoder = decoder[:0]  # pruned entry by entry, the rows of absent words lie in no span
    screen = decoder.to(gradient.dtype)
    remainder = gradient - gradient @ screen.T @ screen
    rest = remainder.norm(dim=1) / norms.clamp_min(1e-30)
    exact = float(rest.median()) < _SINGLE
    least = torch.finfo(gradient.dtype).eps
    ids = _outliers(rest.double(), least)
    if not exact:
        large = _outliers(remainder.norm(dim=1).double(), least * float(norms.median()))
        more = [] if at_places is None else [correlated_rows(remainder, at_places)[0]]
        ids = torch.unique(torch.cat([ids, large, *more]))
    rows = gradient[ids].double()
    return UsedWords(ids, rows - rows @ decoder.T @ decoder, decoder, exact)


def _of_present(gradient: Tensor, present: Tensor) -> UsedWords:
    """`tied_words` where the words are known: every other row is the decoder's alone."""
    absent = torch.ones(len(gradient), dtype=torch.bool)
    absent[present] = False
    others = gradient[absent].double()
    unit = others / others.norm(dim=1, keepdim=True).clamp_min(1e-300)
    _, values, right = torch.linalg.svd(unit, full_matrices=False)
    rank = spectral_rank(values)
    decoder = right[:rank]
    rows = gradient[present].double()
    rest = rows - rows @ decoder.T @ decoder
    # As many rows as dimensions prove nothing: a span needs rows that it did not have to hold.
    return UsedWords(present, rest, decoder, exact=rank < len(others))


def _majority_span(rows: Tensor) -> Tensor:
    """Orthonormal rows of the low-dimensional span in which all but a few of the rows lie.

    A row from outside brings a direction that no other row has, so its leverage is near 1. The sample
    grows until it is several times its rank.
    """
    order = stream(0, "evidence", "rows of a span").permutation(len(rows)).to(rows.device)
    size = min(rows.shape[1], len(rows))
    while True:
        chosen = rows[order[:size]].double()
        basis = _low_span(chosen / chosen.norm(dim=1, keepdim=True))
        if 4 * len(basis) <= size or size >= len(rows):
            return basis
        size = min(2 * size, len(rows))


def _low_span(unit: Tensor) -> Tensor:
    right: Tensor
    for _ in range(3):
        left, values, right = torch.linalg.svd(unit, full_matrices=False)
        rank = spectral_rank(values)
        alone = left[:, :rank].square().sum(1) > 0.5
        if not bool(alone.any()):
            break
        unit = unit[~alone]
    return right[:rank]


def _outliers(rest: Tensor, least: float) -> Tensor:
    """Rows whose remainder stands above the bulk's, split at the widest step; (n,) indices.

    Rounding takes some remainders of a span of one dimension away altogether, and leaves `least` of
    others: nothing below it is told apart.
    """
    bulk = rest.median().clamp_min(max(least, 1e-300))
    ordered, order = rest.sort(descending=True)
    logs = (ordered / bulk).clamp_min(1e-3).log()
    high = int((logs > 1.0).sum())  # the bulk itself lies within a factor of e of its median
    if high == 0:
        return order[:0]
    steps = logs[:high] - logs[1 : high + 1]
    return order[: int(steps.argmax()) + 1].sort().values


_CORRELATED = 6.0  # standard deviations; 15 million pairs of pure noise reach 5.5
_PRUNED = 0.05  # of the entries that are zero
_SINGLE = 1e-5  # what single precision leaves of an absent word's row is well below
