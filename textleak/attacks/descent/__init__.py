"""Baselines that match gradients by Adam: `tag` and `cosine`; `lamp` builds on the same descent."""

from textleak.attacks.descent.cosine import Cosine, CosineOptions
from textleak.attacks.descent.tag import Tag, TagOptions

__all__ = ["Cosine", "CosineOptions", "Tag", "TagOptions"]
