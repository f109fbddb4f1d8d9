"""Which rule each layer of a model is captured by."""

from __future__ import annotations

from torch import nn

from textleak.gradients.convolution import BatchNormRule, ConvolutionRule
from textleak.gradients.layers import EmbeddingRule, LayerNormRule, LinearRule, Rule

RULES: tuple[Rule, ...] = (
    LinearRule(),
    LayerNormRule(),
    EmbeddingRule(),
    ConvolutionRule(),
    BatchNormRule(),
)


def rule_for(module: nn.Module) -> Rule | None:
    """The rule that fits `module`, or None."""
    return next((rule for rule in RULES if rule.fits(module)), None)
