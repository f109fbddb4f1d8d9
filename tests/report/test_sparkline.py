import math

from hypothesis import given
from hypothesis import strategies as st

from textleak.report.sparkline import BARS, LOST, sparkline

numbers = st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=60)


@given(numbers, st.integers(1, 30))
def test_any_curve_fits_its_width(values: list[float], width: int) -> None:
    line = sparkline(values, width)
    assert len(line) <= width
    assert set(line) <= {*BARS, LOST}
    assert (LOST in line) <= any(not math.isfinite(value) for value in values)


def test_the_newest_value_stays_at_the_right() -> None:
    assert sparkline([1.0] * 99 + [2.0], 10) == BARS[0] * 9 + BARS[-1]
    assert sparkline([-1.0, 0.0, 1.0]) == "▁▅█"
    assert sparkline([]) == ""
    assert sparkline([2.0, 1.0, math.inf, math.nan]) == "█▁××"
