"""Layers whose parameter gradients are read off their inputs and output gradients.

A new layer is one rule in one file and one entry of `RULES`; the first rule that fits decides.
"""

from __future__ import annotations

from torch import nn

from textleak.gradients.layers.channel_norms import BatchNormRule, GroupNormRule
from textleak.gradients.layers.convolution import Conv2dRule
from textleak.gradients.layers.embedding import EmbeddingRule
from textleak.gradients.layers.linear import LinearRule, TransposedRule
from textleak.gradients.layers.norms import LayerNormRule, NamedRMSNormRule
from textleak.gradients.layers.rule import Formed, Rule, Term

RULES: tuple[Rule, ...] = (
    LinearRule(),
    LayerNormRule(),
    EmbeddingRule(),
    TransposedRule(),
    Conv2dRule(),
    BatchNormRule(),
    GroupNormRule(),
    NamedRMSNormRule(),
)


def rule_for(module: nn.Module) -> Rule | None:
    """The rule that fits `module`, or None."""
    return next((rule for rule in RULES if rule.fits(module)), None)


__all__ = ["RULES", "Formed", "Rule", "Term", "rule_for"]
