"""From a grid's YAML to its runs: overridden, checked, planned, and what they should cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from textleak.core.errors import ConfigError
from textleak.core.grid_config import BaseGrid, GridConfig, ModelEntry, TextSet
from textleak.core.yaml_source import YamlSource
from textleak.grid.checks import check_grid
from textleak.grid.estimate import Costs
from textleak.grid.executors import default_threads
from textleak.grid.plan import AnyRun, GridRun, plan_runs

GridT = TypeVar("GridT", bound=BaseGrid)
RunT = TypeVar("RunT", bound=AnyRun)
_AXES = {
    "model": "model",
    "task": "task",
    "attack": "attack",
    "defence": "defence",
    "share": "shared set",
    "texts": "set",
    "batch_size": "batch size",
    "seed": "seed",
    "index": "update",
}


@dataclass(frozen=True)
class BasePrepared(Generic[GridT, RunT]):
    """A grid that can be run.

    Attributes:
        config: what it is made of.
        runs: every run.
        costs: what runs should cost.
        threads: torch threads of one run.
    """

    config: GridT
    runs: list[RunT]
    costs: Costs
    threads: int

    def describe(self) -> str:
        """How many runs there are, and of what."""
        parts = []
        for axis, name in _AXES.items():
            count = len({getattr(run.cell, axis) for run in self.runs})
            if count > 1 or axis in ("model", "attack", "defence"):
                parts.append(_counted(count, name))
        return f"{_counted(len(self.runs), 'run')}: {', '.join(parts)}"


PreparedGrid: TypeAlias = BasePrepared[GridConfig, GridRun]


def prepare_grid(
    source: YamlSource,
    *,
    workers: int,
    texts: str | None = None,
    models: Sequence[str] | None = None,
    count: int | None = None,
) -> PreparedGrid:
    """Check everything in `source` and plan its runs.

    Args:
        source: the grid's YAML.
        workers: runs carried out at a time.
        texts: a file that takes the place of the grid's texts.
        models: names that take the place of its models.
        count: how many texts are taken of each set.

    Raises:
        ConfigError: something that the grid names is not valid; with file and line.
    """
    config = _overridden(source.validated(GridConfig), texts, count)
    if models:
        config = config.model_copy(update={"models": tuple(ModelEntry(name=n) for n in models)})
    loaded, facts = check_grid(config, source.error)
    threads = config.threads or default_threads(workers)
    try:
        runs = plan_runs(config, loaded, threads)
    except ConfigError as error:
        raise source.error((), str(error)) from error
    sizes = {(model.shown, task): known.encoder for (model, task), known in facts.items()}
    return PreparedGrid(config, runs, Costs(sizes), threads)


def _overridden(config: GridConfig, texts: str | None, count: int | None) -> GridConfig:
    sets = config.texts
    if texts is not None:
        sets = (TextSet(file=texts, count=sets[0].count if len(sets) == 1 else None),)
    if count is not None:
        sets = tuple(part.model_copy(update={"count": count}) for part in sets)
    return config.model_copy(update={"texts": sets})


def _counted(count: int, name: str) -> str:
    return f"{count} {name}" if count == 1 else f"{count} {name}s"
