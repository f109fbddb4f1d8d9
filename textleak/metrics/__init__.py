"""Metrics: pure functions of a reference and a recovery, each with a spec of how it is shown.

They work on the ids and the text of a *sentence*: the special tokens that frame it are taken off
first (`audit` does that), and at a masked position stands the word, not [MASK]. A metric that an outside
package adds appears in the JSON (under `metrics`, and how it is shown under `metric_views`), in the tables
and in the report.
"""

from textleak.core.registry import Registry
from textleak.metrics.spec import AGGREGATES, Metric, MetricView, Pair

METRICS: Registry[Metric] = Registry(
    "metric",
    {
        "token_match": "textleak.metrics.builtin:TOKEN_MATCH",
        "exact": "textleak.metrics.builtin:EXACT",
        "rouge1": "textleak.metrics.builtin:ROUGE1",
        "rouge2": "textleak.metrics.builtin:ROUGE2",
        "rougeL": "textleak.metrics.builtin:ROUGEL",
    },
    "textleak.metrics",
)

__all__ = ["AGGREGATES", "METRICS", "Metric", "MetricView", "Pair"]
