"""A model family: ERNIE (Sun et al. 2019), which kept the names of BERT's layers."""

from __future__ import annotations

from textleak.models.families.bert import Bert


class Ernie(Bert):
    """ERNIE: BERT trained to fill in whole phrases."""
