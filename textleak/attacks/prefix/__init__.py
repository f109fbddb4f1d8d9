"""Exact recovery from the update of a causal model: a tree of prefixes, grown word by word."""

from textleak.attacks.prefix.attack import run_prefixes
from textleak.attacks.prefix.solve import PrefixOptions

__all__ = ["PrefixOptions", "run_prefixes"]
