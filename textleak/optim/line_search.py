"""A line search for many rows at once, each with its own bracket."""

from __future__ import annotations

import torch
from torch import Tensor


class LineSearch:
    """Brackets a weak Wolfe point of every row (Lewis and Overton 2013), cubically interpolated.

    A step that is not low enough closes the bracket from above, one whose slope is still steep
    closes it from below. An accepted step therefore has positive curvature.

    Args:
        rows: R.
        like: for type and device.
        armijo: the decrease that a step must reach, as a fraction of what the slope promises.
        curvature: the fraction of the first slope that may be left.

    Attributes:
        length: (R,) the next trial step of each row.
        trials: (R,) trials judged since the row's search began.
    """

    def __init__(self, rows: int, like: Tensor, armijo: float, curvature: float) -> None:
        zeros = like.new_zeros(rows)
        self._armijo = armijo
        self._curvature = curvature
        self._value = self._slope = zeros
        self._low = self._low_value = self._low_slope = zeros
        self._high = zeros
        self.length = zeros
        self.trials = torch.zeros(rows, dtype=torch.long, device=like.device)

    def begin(self, rows: Tensor, values: Tensor, slopes: Tensor, lengths: Tensor) -> None:
        """Start a search on the chosen rows.

        Args:
            rows: (R,) which.
            values: (R,) objectives where they stand.
            slopes: (R,) negative slopes along their directions.
            lengths: (R,) first trial steps.
        """
        self._value = torch.where(rows, values, self._value)
        self._slope = torch.where(rows, slopes, self._slope)
        self._low = torch.where(rows, 0.0, self._low)
        self._low_value = torch.where(rows, values, self._low_value)
        self._low_slope = torch.where(rows, slopes, self._low_slope)
        self._high = torch.where(rows, torch.inf, self._high)
        self.length = torch.where(rows, lengths, self.length)
        self.trials = torch.where(rows, 0, self.trials)

    def judge(self, values: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor]:
        """Take the objectives and slopes (R,) found at `length`, and choose the next lengths.

        Returns:
            (R,) which steps are Wolfe points; (R,) which at least decrease enough.
        """
        self.trials = self.trials + 1
        low_enough = values <= self._value + self._armijo * self.length * self._slope
        wolfe = low_enough & (slopes >= self._curvature * self._slope)
        rises, falls = ~low_enough, low_enough & ~wolfe
        cubic = _cubic_minimum(
            (self._low, self._low_value, self._low_slope), (self.length, values, slopes)
        )
        high = torch.where(rises, self.length, self._high)
        low = torch.where(falls, self.length, self._low)
        width = torch.where(high.isfinite(), high - low, 0.0)
        inside = torch.clamp(cubic, low + 0.1 * width, low + 0.9 * width)
        inside = torch.where(cubic.isfinite(), inside, low + 0.5 * width)
        beyond = torch.clamp(cubic.nan_to_num(0.0), 2 * self.length, 10 * self.length)
        following = torch.where(high.isfinite(), inside, beyond)
        self._low_value = torch.where(falls, values, self._low_value)
        self._low_slope = torch.where(falls, slopes, self._low_slope)
        self._low, self._high = low, high
        self.length = torch.where(wolfe, self.length, following)
        return wolfe, low_enough


def _cubic_minimum(low: tuple[Tensor, Tensor, Tensor], at: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Minimiser of the cubic through (place, value, slope) twice; not finite where there is none."""
    a, value_a, slope_a = low
    b, value_b, slope_b = at
    mean = slope_a + slope_b - 3 * (value_a - value_b) / (a - b)
    root = torch.sqrt(mean * mean - slope_a * slope_b) * torch.sign(b - a)
    return b - (b - a) * ((slope_b + root - mean) / (slope_b - slope_a + 2 * root))
