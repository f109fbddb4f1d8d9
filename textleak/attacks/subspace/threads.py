"""How many threads small matrices are worth."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch work with one thread, and restore what was set.

    Thousands of products of matrices a few hundred wide follow one another: handing each to several
    threads and waiting for them takes longer than the work, the more so beside other processes.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
