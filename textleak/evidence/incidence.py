r"""Which word stands at which place, by sparse Bayesian regression under noise of a known size.

Write $d_{vt}$ for the gradient at the sum of embeddings of word $v$ at place $t$. Row $v$ of the word table's
gradient is $\sum_t d_{vt}$ and row $t$ of the position table's $\sum_v d_{vt}$, each with noise of a known
deviation, entry by entry. Few of the pairs exist: with a prior $d_{vt} \sim N(0, a_{vt} I)$ the evidence for
these rows is greatest where most $a_{vt}$ are nothing (Tipping 2001). Column $i$ of both tables has covariance
$C_i = \mathrm{diag}(\sigma_i^2) + \sum_{vt} a_{vt} m_{vt} m_{vt}^T$, where $m_{vt}$ is one at $v$ and at $t$; the
updates $a \leftarrow a \sqrt{q / s}$, with $q$ the mean of $(m^T C_i^{-1} y_i)^2$ and $s$ that of $m^T C_i^{-1} m$,
never lower the evidence (Wipf et al. 2010, equation 33).

The prior takes pairs' gradients to be independent, and they have directions in common (that of a class, say):
the rows are turned to their principal directions, and the stronger half of these brought to one size.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from textleak.core.bounds import Count
from textleak.core.budget import checkpoint
from textleak.core.randomness import stream


class IncidenceOptions(BaseModel):
    """How long the evidence is climbed.

    Attributes:
        rounds: updates of all variances. They move a true pair and a false one apart by a factor each
            time; after 30 they mostly lie a decade apart.
        work: the most multiplications of one round: of a large batch fewer columns are looked at.
        least: how many columns at least.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rounds: Count = 60
    work: float = Field(default=4e9, gt=0)
    least: Count = 64


def incidence(
    words: Tensor,
    places: Tensor,
    words_noise: Tensor,
    places_noise: Tensor,
    options: IncidenceOptions | None = None,
) -> Tensor:
    """How large a part of a word's row, or of a place's, each pair accounts for; (W, T), about 0 to 1.

    Args:
        words: (W, H) rows of the word table's gradient.
        places: (T, H) rows of the position table's.
        words_noise: (W, H) the deviation of the noise in `words`.
        places_noise: (T, H) the same of `places`.
        options: how hard to try.
    """
    options = options or IncidenceOptions()
    count = len(words)
    rows = torch.cat([words, places]).double()
    noise = torch.cat([words_noise, places_noise]).double().square()
    turn = _levelled(rows, noise)  # (H, k)
    rows, noise = rows @ turn, noise @ turn.square()
    at_once = max(options.least, int(options.work / len(rows) ** 3))
    if at_once < rows.shape[1]:
        chosen = stream(0, "evidence", "columns").permutation(rows.shape[1])[:at_once]
        rows, noise = rows[:, chosen], noise[:, chosen]
    power = rows.square().mean(1)
    most = torch.minimum(power[:count, None], power[None, count:]).clamp_min(1e-300)  # (W, T)
    variances = most / 2
    for _ in range(options.rounds):
        checkpoint()
        variances = _updated(variances, rows.T, noise.T).clamp_min(1e-30 * float(most.max()))
    return variances / most


def _levelled(rows: Tensor, noise: Tensor) -> Tensor:
    """Principal directions of rows (n, H) as columns, the stronger half made as weak as the middle one; (H, k).

    Those that noise of variance (n, H) alone would make are not counted.
    """
    sizes = rows.norm(dim=1, keepdim=True).clamp_min(1e-300)
    _, values, right = torch.linalg.svd(rows / sizes, full_matrices=False)
    chance = float((noise / sizes.square()).sum() / len(values)) ** 0.5
    middle = values[values > chance].median() if bool((values > chance).any()) else values.max()
    turn: Tensor = right.T / values.clamp_min(float(middle)).clamp_min(1e-300)
    return turn


def _updated(variances: Tensor, rows: Tensor, noise: Tensor) -> Tensor:
    """One update of the variances (W, T), from columns (H, W + T) of rows and of the noise's variance."""
    count, size = len(variances), rows.shape[1]
    covariance = variances.new_zeros(len(rows), size, size)
    covariance[:, :count, count:] = variances
    covariance[:, count:, :count] = variances.T
    sums = torch.cat([variances.sum(1), variances.sum(0)])
    covariance.diagonal(dim1=1, dim2=2).copy_(noise + sums)
    inverse = torch.linalg.inv(covariance)
    seen = (inverse @ rows[..., None])[..., 0]  # (H, W + T)
    explained = (seen[:, :count, None] + seen[:, None, count:]).square().mean(0)
    diagonal = inverse.diagonal(dim1=1, dim2=2)
    expected = diagonal[:, :count, None] + diagonal[:, None, count:]
    expected = (expected + 2 * inverse[:, :count, count:]).mean(0)
    updated: Tensor = variances * (explained / expected.clamp_min(1e-300)).sqrt()
    return updated
