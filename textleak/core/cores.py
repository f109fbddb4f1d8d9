"""How many threads are worth it: as many as cores stand idle.

Torch's threads wait for one another after every small product. Beside a process that keeps a core busy,
one of two has to wait for that core each time: a run with two threads was measured at several times the
time of one with one.
"""

from __future__ import annotations

import os


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads_for(wanted: int | None) -> int:
    """`wanted`; else what OMP_NUM_THREADS says; else the cores that stood idle in the last minute."""
    if wanted is not None:
        return wanted
    said = os.environ.get("OMP_NUM_THREADS", "")
    if said.isdecimal() and int(said) > 0:
        return int(said)
    return max(1, cores() - round(_load()))


def _load() -> float:
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):  # not told on this system
        return 0.0
