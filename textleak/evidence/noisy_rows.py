"""Which word stands where under noise: log-likelihood ratios from the two embedding tables' gradients.

A word that stands at one place of one sequence has its slope d in its own row and in the place's: the rows are
d + noise each. With d ~ N(0, a² C) the pair of rows is a Gaussian whose likelihood, over that of noise alone, is
for every eigenvector of C of value c with s = a² c / σ²

    w (u + v)² / 2σ² - log(1 + 2 s) / 2        w = s / (1 + 2 s),

summed, and averaged over sizes a. C, up to its size, is that of slopes at random words: the model is public.
Slopes lie along few directions, so far less noise is heard than both rows hold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from textleak.core.batch import TokenBatch
from textleak.core.randomness import Stream
from textleak.models.text_model import TextModel


@dataclass(frozen=True)
class SlopePrior:
    """How slopes at word embeddings lie, whatever their size.

    Attributes:
        values: (H,) eigenvalues of the mean of d dᵀ / |d|², which add up to 1.
        vectors: (H, H) its eigenvectors, in columns.
    """

    values: Tensor
    vectors: Tensor

    @classmethod
    def of(
        cls, model: TextModel, words: Tensor, draws: Stream, sequences: int = 96, length: int = 10
    ) -> SlopePrior:
        """From sequences of random words with any labels; `length` counts the words."""
        begin, end = model.marks.begin, model.marks.end
        inner = words[draws.below(len(words), sequences * length)].view(sequences, length)
        frame = [torch.tensor(marks).expand(sequences, -1) for marks in (begin, end)]
        ids = torch.cat([frame[0], inner, frame[1]], 1).long().to(model.device)
        labels = model.task.unlabelled(ids.cpu()).to(model.device)
        if model.task.one_class:
            labels = draws.below(model.label_count, sequences).to(model.device)
        points = model.word_table.detach()[ids].requires_grad_()
        mask = torch.ones_like(ids)
        with torch.enable_grad():
            states = model.family.encode(
                inputs_embeds=points, attention_mask=mask, token_types=model.token_types(ids)
            )
            logits, targets = model.task.outputs(model, states, mask, labels)
            (slopes,) = torch.autograd.grad(model.task.losses(logits, targets).sum(), points)
        found = slopes[:, len(begin) : len(begin) + length].flatten(0, 1)
        unit = torch.nn.functional.normalize(found, dim=1)
        values, vectors = torch.linalg.eigh(unit.T @ unit / len(unit))
        return cls(values.clamp_min(0), vectors)


@dataclass(frozen=True)
class NoisyRows:
    """What noisy rows say of words and places, in nats above noise alone.

    Attributes:
        pairs: (T, V) that a word stands at a place, and both nowhere else; of the first T places.
        places: (P,) that a place is used at all.
    """

    pairs: Tensor
    places: Tensor

    @classmethod
    def of(
        cls,
        words: Tensor,
        places: Tensor,
        std: float,
        prior: SlopePrior,
        sizes: Sequence[float] = (2, 4, 8, 16, 32, 64, 128, 256),
        spare: int = 4,
    ) -> NoisyRows:
        """Read the rows.

        Args:
            words: (V, H) the word table's gradient.
            places: (P, H) the position table's.
            std: the deviation of the noise.
            prior: how slopes lie.
            sizes: norms of a slope that are as likely, in deviations of an entry's noise.
            spare: places looked at beyond the last that seems used.
        """
        v = places @ prior.vectors / std
        alone = torch.full((len(v),), -math.inf)
        for size in sizes:
            share = size**2 * prior.values  # (H,)
            own = v.square() @ (share / (1 + share)) - torch.log1p(share).sum()
            alone = torch.logaddexp(alone, own / 2)
        alone -= math.log(len(sizes))
        v = v[: likely_length(alone) + spare]
        u = words @ prior.vectors / std
        u_squared, v_squared = u.square(), v.square()
        pairs = torch.full((len(v), len(u)), -math.inf)
        for size in sizes:
            share = size**2 * prior.values
            w = share / (1 + 2 * share)
            whole = (u_squared @ w)[None] + (v_squared @ w)[:, None] + 2 * (v * w) @ u.T
            pairs = torch.logaddexp(pairs, (whole - torch.log1p(2 * share).sum()) / 2)
        return cls(pairs - math.log(len(sizes)), alone)


def likely_length(places: Tensor) -> int:
    """How many places are in use, from the first on, given the nats (P,) that each is.

    >>> likely_length(torch.tensor([5.0, -1.0, 9.0, -2.0, -1.0]))
    3
    """
    return int(places.cumsum(0).argmax()) + 1


def evident_noise(model: TextModel, gradients: dict[str, Tensor]) -> float:
    """The deviation of the noise on an update, from rows of the embedding tables that should be zero; 0 is none.

    Most rows of these tables were not looked up; a few that were do not move the median.
    """
    parts = model.family.embeddings
    for rows in (
        None if model.family.head.tied else parts.words.of(gradients),
        None if parts.positions is None else parts.positions.of(gradients),
    ):
        if rows is not None:
            width = rows.shape[1]
            # The median of a chi-squared variable of k degrees is k (1 - 2 / 9k)³.
            middle = float(rows.float().square().sum(1).median())
            return math.sqrt(middle / (width * (1 - 2 / (9 * width)) ** 3))
    return 0.0


def one_sequence(model: TextModel, words: Sequence[int]) -> TokenBatch:
    """One sequence's words in their frame; of classes it has the first."""
    ids = torch.tensor([[*model.marks.begin, *words, *model.marks.end]])
    labels = model.task.unlabelled(ids)
    return TokenBatch(ids, torch.ones_like(ids), labels * 0 if model.task.one_class else labels)
