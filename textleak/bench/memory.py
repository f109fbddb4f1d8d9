"""Peak tensor memory of a piece of work, counted at the allocator."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch.profiler import ProfilerActivity, profile


def peak_bytes(run: Callable[[], object], device: torch.device) -> int:
    """The most bytes of tensors that were alive at once during `run`, beyond those before it.

    On the CPU every allocation is taken from the profiler's record; on a GPU from the allocator's
    own high-water mark. Unlike the resident set, neither counts memory that was freed and kept.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        torch.cuda.synchronize(device)
        return int(torch.cuda.max_memory_allocated(device) - before)
    with _no_chatter(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        run()
    held = peak = 0
    results = record.profiler.kineto_results if record.profiler else None
    events = [event for event in results.events() if event.name() == "[memory]"] if results else []
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return int(peak)


@contextmanager
def _no_chatter() -> Iterator[None]:
    """Keep off the screen what the profiler's library writes past Python to standard error."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
