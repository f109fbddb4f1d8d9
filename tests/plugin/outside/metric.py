"""A metric: by how many tokens the length is wrong."""

from textleak.metrics import Metric

LENGTH_ERROR = Metric(
    "length error",
    "By how many tokens the recovered sentence is too long or too short.",
    lambda pair: float(abs(len(pair.reference_ids) - len(pair.recovered_ids))),
    aggregate="max",
    higher_is_better=False,
    format=".1f",
)
