"""The executor `ray`: runs as tasks of a Ray cluster, an existing one or one started here."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from textleak.core.errors import ConfigError
from textleak.grid.executors import Observer
from textleak.grid.plan import AnyRun
from textleak.grid.worker import carry_out, failed
from textleak.results.log import AnyGridRecord

RETRIES = 1  # of a run whose worker died; Ray counts them


class RayCluster:
    """Tasks of a Ray cluster; textleak must be installed on all of its machines.

    Ray keeps a worker process for the tasks that follow, and the process its models.

    Args:
        workers: runs carried out at a time.
        threads: cores, and torch threads, of each.
        address: an existing cluster (`auto`, `ray://host:port`); None starts one here.

    Raises:
        ConfigError: Ray is not installed.
    """

    def __init__(self, workers: int, threads: int, address: str | None = None) -> None:
        try:
            import ray
        except ImportError as error:
            raise ConfigError("ray is not installed: pip install 'textleak[ray]'") from error
        self._ray: Any = ray
        self.workers, self.threads, self.address = workers, threads, address

    def run(self, runs: Iterable[AnyRun], observer: Observer) -> Iterator[AnyGridRecord]:
        """The records of `runs`, each as soon as it is finished."""
        ray = self._ray
        self._connect()
        task = ray.remote(num_cpus=self.threads, max_retries=RETRIES)(carry_out)
        waiting = deque(runs)
        under_way: dict[Any, AnyRun] = {}
        try:
            while waiting or under_way:
                while waiting and len(under_way) < self.workers:
                    under_way[task.remote(waiting[0])] = waiting[0]
                    observer.begin(waiting.popleft())
                for reference in ray.wait(list(under_way))[0]:
                    run = under_way.pop(reference)
                    try:
                        yield ray.get(reference)
                    except ray.exceptions.RayError as error:
                        yield failed(run, f"its worker died: {type(error).__name__}")
        finally:
            ray.shutdown()

    def _connect(self) -> None:
        here = {"num_cpus": self.workers * self.threads, "include_dashboard": False}
        try:
            self._ray.init(
                address=self.address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                **({} if self.address else here),
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            what = " ".join(str(error).split())
            raise ConfigError(f"no Ray cluster at {self.address!r}: {what}") from error
