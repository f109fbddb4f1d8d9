"""The factor that a client's gradient may carry: what the update itself tells of it.

A summed loss, a loss scale, clipping and weight deltas multiply every number of a gradient by one real
factor. Most evidence does not see it; the signs by which labels are read do.
"""

from __future__ import annotations

import math
from dataclasses import replace

from torch import Tensor

from textleak.core.update import SharedUpdate
from textleak.models.text_model import TextModel

_PLAIN = 1e-5  # single precision leaves a fitted factor five digits


def upright(model: TextModel, update: SharedUpdate) -> SharedUpdate:
    """The update with a positive factor, where its own labels' gradients show a negative one."""
    if not turned(model, update):
        return update
    return replace(update, gradients={name: -g for name, g in update.gradients.items()})


def turned(model: TextModel, update: SharedUpdate) -> bool:
    """Whether the gradients' factor is negative, as of a weight delta.

    The loss's gradient at the decoder's or classifier's bias is a mean of probabilities less truths:
    negative at labels alone. Words that are no label are most of a vocabulary; of three classes or
    more, two are none of a single sequence's.
    """
    bias = model.family.head.output.bias_of(update.gradients)
    alone = model.task.one_class and update.metadata.batch_size in (None, 1)
    if bias is None or not (model.task.words or (alone and len(bias) > 2)):
        return False
    return _negative(bias)


def _negative(bias: Tensor) -> bool:
    """Whether a bias's gradient is that of a loss times a negative factor."""
    below, above = int((bias < 0).sum()), int((bias > 0).sum())
    if 2 * (below + above) < len(bias):  # rounding or pruning left the labels' large entries
        return float(bias.double().sum()) > 0
    return below > above


def oddness(factor: float) -> float:
    """How unlikely a client is to use a factor: 0 for one, more for odd numbers and negative ones.

    Rates, loss scales and batch sizes are powers of two or have at most two digits.

    >>> [oddness(c) for c in (1.0, 65536.0, -0.01, 0.7071)]
    [0.0, 1.0, 1.5, 2.0]
    """
    size = abs(factor)
    if size == 0 or not math.isfinite(size):
        return math.inf
    digits = float(f"{size:.1e}")
    power = 2.0 ** round(math.log2(size))
    round_number = min(abs(size / digits - 1), abs(size / power - 1)) < _PLAIN
    plain = 0.0 if abs(size - 1) < _PLAIN else 1.0 if round_number else 2.0
    return plain + (0.5 if factor < 0 else 0.0)
