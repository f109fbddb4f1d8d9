"""What a defence costs: a small real training under it, its accuracy set beside what leaks.

rows = [Tradeoff(spec, learn(learner, Defences.parse([spec]), options), leakage) …]
print(table(rows)); plot(rows, "tradeoff.svg")
"""

from textleak.utility.learners import ImageLearner, TextLearner
from textleak.utility.learning import Learner, LearningOptions, learn
from textleak.utility.tradeoff import Tradeoff, plot, table

__all__ = [
    "ImageLearner",
    "Learner",
    "LearningOptions",
    "TextLearner",
    "Tradeoff",
    "learn",
    "plot",
    "table",
]
