"""What a number may be, wherever it comes from: a command line, a YAML file, an update's header."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import Field

SEEDS = 2**63  # torch's generators take no more, and a run counts on from its seed
MOST_THREADS = 1024
MOST_CLASSES = 65_536  # a head of more is no classifier, and its weights fill the memory
MOST_PIXELS = 1024  # a side; a network for larger pictures fills the memory
MOST_STEPS = 1000  # taken before an update: each is a step of training, again for every proof
MOST_DEFENCES = 32  # on one update
MOST_PATTERNS = 1024  # of parameters' names; each is held against every parameter
MOST_RUNS = 100_000  # of a grid
MOST_COUNT = 1_000_000  # of what is repeated, tried or kept; more is a slip of the pen
MOST_BYTES = 2**28  # of a file of sentences: as many as a grid has runs, of 2,600 bytes each

Seed = Annotated[int, Field(ge=0, lt=SEEDS)]
Threads = Annotated[int, Field(ge=1, le=MOST_THREADS)]
Classes = Annotated[int, Field(ge=2, le=MOST_CLASSES)]
Pixels = Annotated[int, Field(ge=4, le=MOST_PIXELS)]
Count = Annotated[int, Field(ge=1, le=MOST_COUNT)]


def unfit(
    value: Any, where: tuple[str | int, ...] = ()
) -> tuple[tuple[str | int, ...], str] | None:
    """The first number inside `value` that nothing can be computed with, or None.

    >>> unfit({"a": [1.5, float("nan")]})
    (('a', 1), 'expected a finite number, got nan')
    >>> unfit({"seed": 2**70})
    (('seed',), 'expected a whole number of at most 64 bits')
    """
    if isinstance(value, float) and not math.isfinite(value):
        return where, f"expected a finite number, got {value}"
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return where, "expected a whole number of at most 64 bits"
    inside: Any = ()
    if isinstance(value, dict):
        inside = value.items()
    elif isinstance(value, list | tuple):
        inside = enumerate(value)
    found = (unfit(each, (*where, key)) for key, each in inside)
    return next((one for one in found if one is not None), None)
