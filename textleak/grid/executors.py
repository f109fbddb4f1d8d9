"""Where the runs of a grid are carried out: processes of this machine, or a Ray cluster."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from typing import Protocol

from textleak.core.cores import cores
from textleak.core.errors import ConfigError, unknown
from textleak.grid.plan import AnyRun
from textleak.grid.worker import carry_out, failed
from textleak.results.log import AnyGridRecord

EXECUTORS = ("local", "ray")


class Observer(Protocol):
    """Told which runs are under way."""

    def begin(self, run: AnyRun) -> None:
        """A worker takes up `run`."""


class Executor(Protocol):
    """Carries out runs, in any order."""

    def run(self, runs: Iterable[AnyRun], observer: Observer) -> Iterator[AnyGridRecord]:
        """The records of `runs`, each as soon as it is finished; closing it stops every worker."""


def build_executor(name: str, workers: int, threads: int, address: str | None = None) -> Executor:
    """The executor called `name`.

    Args:
        name: `local` or `ray`.
        workers: runs carried out at a time.
        threads: torch threads of each.
        address: an existing Ray cluster; a local one is started where it is not given.

    Raises:
        ConfigError: no such executor, or its engine is not installed.
    """
    if name == "local":
        return LocalProcesses(workers)
    if name == "ray":
        from textleak.grid.ray_cluster import RayCluster

        return RayCluster(workers, threads, address)
    raise ConfigError(unknown("executor", name, EXECUTORS))


def default_threads(workers: int) -> int:
    """Torch threads of each of `workers` on this machine, so that they do not fight over cores."""
    return max(1, cores() // workers)


class LocalProcesses:
    """Processes of this machine, spawned, so that nothing of the parent's state is in them.

    Args:
        workers: how many.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def run(self, runs: Iterable[AnyRun], observer: Observer) -> Iterator[AnyGridRecord]:
        """The records of `runs`, each as soon as it is finished.

        The death of a worker (by the system's memory killer, say) puts the runs under way in doubt.
        Each is run again by itself, and given up if its worker dies again.
        """
        waiting = deque(runs)
        while waiting:
            doubtful = yield from self._until_death(waiting, observer)
            for run in doubtful:
                if (yield from self._until_death(deque([run]), observer)):
                    yield failed(run, "its worker died twice (out of memory?)")

    def _until_death(
        self, waiting: deque[AnyRun], observer: Observer
    ) -> Generator[AnyGridRecord, None, list[AnyRun]]:
        """Carry out `waiting` until it is empty or a worker dies; return what was under way then."""
        others = set(multiprocessing.active_children())
        count = min(self.workers, len(waiting))
        pool = ProcessPoolExecutor(count, get_context("spawn"), initializer=_start_worker)
        under_way: dict[Future[AnyGridRecord], AnyRun] = {}
        doubtful: list[AnyRun] = []
        try:
            while (waiting or under_way) and not doubtful:
                while waiting and len(under_way) < count:
                    under_way[pool.submit(carry_out, waiting[0])] = waiting[0]
                    observer.begin(waiting.popleft())
                for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                    run = under_way.pop(future)
                    if isinstance(future.exception(), BrokenProcessPool):
                        doubtful.append(run)
                    else:
                        yield future.result()
        except BrokenProcessPool:
            pass
        finally:
            stopped = bool(under_way)
            pool.shutdown(wait=not stopped, cancel_futures=True)
            for child in set(multiprocessing.active_children()) - others if stopped else ():
                child.terminate()
        return doubtful + list(under_way.values())


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, and end with it however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)
