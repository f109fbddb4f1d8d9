"""Recovery from few rows: an adapter's gradient holds sums of inputs, of which a dictionary is known."""

from textleak.attacks.pursuit.attack import few_rows, first_words, run_pursuit
from textleak.attacks.pursuit.tree import PursuitOptions

__all__ = ["PursuitOptions", "few_rows", "first_words", "run_pursuit"]
