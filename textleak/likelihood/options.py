"""What is tried against a text before it is called determined, and when it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MarginOptions:
    """How many competitors are looked at.

    Attributes:
        nats: a margin above it determines: the truth is then e⁵ = 148 times as likely as any competitor,
            by the mean over draws of the noise.
        nearest: words tried at each place, by the distance of their embeddings.
        slopes: words tried at each place, of the whole vocabulary, whose change of the gradient
            is estimated to be least.
        probes: random projections that this estimate is made of; it errs by √(2 / probes).
        swaps: pairs of words exchanged, the least changes by the same estimate.
        lengths: places at which a word is left out, and said twice.
        at_once: candidates in one pass.
        exact: of each sequence, competitors whose updates are recomputed, defences and all, where
            the protocol does more than add noise to a gradient; besides one at each place.
        digits: a squared distance is taken from inner products where it is this many roundings of
            the norms that it is left of; it is recomputed otherwise.
    """

    nats: float = 5.0
    nearest: int = 2
    slopes: int = 4
    probes: int = 16
    swaps: int = 4
    lengths: int = 3
    at_once: int = 32
    exact: int = 3
    digits: float = 1e3
