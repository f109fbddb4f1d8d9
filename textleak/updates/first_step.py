r"""Whether a difference of weights is one step of Adam from nothing, and which.

Its first step moves every weight by $c\, g / (|g| + \epsilon)$ (Kingma and Ba 2015), $c$ for nearly every gradient:
$\epsilon = 10^{-8}$ is smaller than nearly all. No other optimiser moves most weights by one and the same amount.
With decoupled decay $\lambda$ a weight moves $c \lambda w$ beside, which the rows of a table show that were not
looked up.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from textleak.core.training_plan import LocalSteps

_ALIKE, _MOST = 0.02, 0.5  # how near to the one amount, and how many must be
_FEW = 64  # numbers that say nothing of what most do
_PLAIN = 1e-3  # how near to three digits a rate or decay must lie to be them
_NOTHING = 1e-7  # a decay or rate below this is none


def first_adam_step(delta: Mapping[str, Tensor], before: Mapping[str, Tensor]) -> LocalSteps | None:
    """The step of AdamW that a difference of weights is; None if it is none.

    Args:
        delta: weights before less weights after, by name.
        before: weights before.
    """
    large = {name: d for name, d in delta.items() if d.dim() == 2 and d.numel() >= _FEW}
    amounts = [float(_moved(d, before[name]).abs().median()) for name, d in large.items()]
    if not amounts:
        return None
    rate = float(torch.tensor(amounts, dtype=torch.float64).median())
    alike = total = 0
    for name, d in large.items():
        moved = _moved(d, before[name]).abs()
        alike += int(((moved - rate).abs() < _ALIKE * rate).sum())
        total += len(moved)
    if not rate or alike < _MOST * total:
        return None
    decay = _decay(large, before, rate)
    fitted = _plain(decay / rate) or None
    return LocalSteps(steps=1, rate=_plain(rate), optimizer="adamw", weight_decay=fitted)


def _moved(delta: Tensor, weight: Tensor) -> Tensor:
    """The movements of rows that moved by more than their decay; flat."""
    sizes = delta.double().square().mean(1).sqrt()
    return delta[sizes > sizes.max() / 4].flatten()


def _decay(large: Mapping[str, Tensor], before: Mapping[str, Tensor], rate: float) -> float:
    """What each weight lost of itself, by the rows that did nothing else; 0 where there are none."""
    rows = [
        (d[still].double(), before[name].detach()[still].double())
        for name, d in large.items()
        for still in [d.double().square().mean(1).sqrt() < rate / 4]
        if bool(still.any())
    ]
    if not rows:
        return 0.0
    dot = sum(float((d * w).sum()) for d, w in rows)
    square = sum(float(w.square().sum()) for _, w in rows)
    return max(dot / max(square, 1e-300), 0.0)


def _plain(number: float) -> float:
    """The number with two digits where it is as good as that; what is next to nothing is nothing."""
    if number < _NOTHING:
        return 0.0
    digits = float(f"{number:.1e}")
    return digits if abs(number / digits - 1) < _PLAIN else float(f"{number:.6g}")
