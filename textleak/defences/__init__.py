"""Defences, by name: what a client does to its gradients before it shares them.

    defence = parse_defence("gaussian:std=1e-3")
    shared = defence(update, seed=0)

A defence takes an update and returns another one, whatever the gradients are of.
"""

from textleak.defences.base import Defence
from textleak.defences.parsing import DEFENCES, parse_defence

__all__ = ["DEFENCES", "Defence", "parse_defence"]
