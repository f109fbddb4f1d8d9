"""Every run of a grid: its place in the grid, its full configuration, and its key."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Generic, TypeAlias, TypeVar

from textleak.client.reading import in_batches
from textleak.core.bounds import MOST_RUNS
from textleak.core.config import RunConfig
from textleak.core.errors import ConfigError
from textleak.core.grid_config import BaseGrid, GridConfig, defence_title, share_title
from textleak.core.run_options import RunOptions
from textleak.grid.texts import LoadedTexts
from textleak.results.cell import Cell
from textleak.tasks import TASKS

# What changes how a run is shown, how fast it is or where it is cut short, and not what it finds by then.
_NOT_IN_KEY = {"every", "determined", "threads", "sentences", "classes", "file", "batch_size"}
_NOT_IN_KEY |= {"time_limit", "max_evaluations"}
ConfigT = TypeVar("ConfigT", bound=RunOptions)


@dataclass(frozen=True)
class BaseRun(Generic[ConfigT]):
    """One update to make and attack.

    Attributes:
        cell: its place in the grid.
        config: its full configuration.
        key: a digest of what its result depends on; its budget is not in it, see `outstanding`.
    """

    cell: Cell
    config: ConfigT
    key: str


GridRun: TypeAlias = BaseRun[RunConfig]
AnyRun: TypeAlias = BaseRun[Any]


def axes_of(
    config: BaseGrid,
    model: Any,
    attack: Any,
    share: tuple[str, ...],
    defences: tuple[str, ...],
    threads: int | None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options that every run at these places of the axes has, and the names of its place.

    Args:
        config: the grid.
        model: its entry of a model, any modality's.
        attack: its entry of an attack.
        share: patterns of what is shared.
        defences: on the update.
        threads: torch threads of one run.
    """
    options = dict(
        **model.model_dump(exclude={"name", "title"}),
        model=model.name,
        attack=attack.name,
        options=attack.options,
        share=share,
        defences=defences,
        device=config.device,
        threads=threads,
        time_limit=config.time_limit,
        max_evaluations=config.max_evaluations,
    )
    names = dict(
        model=model.shown,
        attack=attack.shown,
        defence=defence_title(defences),
        share=share_title(share),
    )
    return options, names


def plan_runs(
    config: GridConfig, texts: Sequence[LoadedTexts], threads: int | None = None
) -> list[GridRun]:
    """Every run of the grid, those of one model and task together.

    Args:
        config: the grid.
        texts: its sets of texts, as loaded.
        threads: torch threads of one run.

    Raises:
        ConfigError: two cells are the same, or there are too many.
    """
    check_count(config, texts)
    outer = product(config.models, config.tasks, config.attacks, config.shares, config.defences)
    runs: list[GridRun] = []
    for model, task, attack, share, defences in outer:
        options, names = axes_of(config, model, attack, share, defences, threads)
        base = RunConfig(
            **options,
            task=task,
            labels=attack.labels,
            mask_rate=config.mask_rate,
            dropout=config.dropout,
            determined=config.determined,
        )
        for part in texts:
            for size, seed in product(config.batch_sizes, config.seeds):
                for index, (sentences, labels) in enumerate(
                    in_batches(part.sentences, part.labels, size)
                ):
                    place = dict(texts=part.title, index=index, batch_size=size, seed=seed)
                    cell = Cell(**place, **names, task=task)
                    private = dict(
                        sentences=tuple(sentences),
                        classes=None
                        if labels is None or not TASKS.load(task).labelled
                        else tuple(labels),
                        client_seed=seed + index if config.client_seeded else None,
                    )
                    runs.append(_run(cell, base, private))
    check_distinct(runs)
    return runs


def _run(cell: Cell, base: RunConfig, private: dict[str, Any]) -> GridRun:
    config = base.model_copy(update={**private, "seed": cell.seed + cell.index})
    return GridRun(cell, config, run_key(cell, config))


def run_key(cell: Cell, config: RunConfig) -> str:
    """A digest of everything that a run's result depends on, its texts and its place included.

    The place is the set's name, the batch's index and size and the seed: two cells whose texts
    happen to be the same stay two runs.
    """
    return digest(cell, config, _NOT_IN_KEY, texts=[list(config.sentences), config.classes])


def digest(cell: Cell, config: RunOptions, left_out: set[str], **private: Any) -> str:
    """A digest of a run's place, its private data and its configuration but for some fields."""
    what = {
        "place": [cell.texts, cell.index, cell.batch_size, cell.seed],
        **private,
        "config": config.model_dump(mode="json", exclude=left_out),
    }
    text = json.dumps(what, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def check_count(config: GridConfig, texts: Sequence[LoadedTexts] | None = None) -> None:
    """Refuse a grid of more runs than any is meant to have.

    Args:
        config: the grid.
        texts: its sets of texts; where they have not been read yet, each counts as one text.

    Raises:
        ConfigError: there are too many.
    """
    axes = (config.models, config.tasks, config.attacks, config.shares, config.defences)
    held = [1] * len(config.texts) if texts is None else [len(t.sentences) for t in texts]
    check_product(config, math.prod(map(len, axes)), held, at_least=texts is None)


def check_product(
    config: BaseGrid, cells: int, held: Sequence[int], *, at_least: bool = False
) -> None:
    """Refuse a grid of more runs than any is meant to have.

    Args:
        config: the grid.
        cells: combinations of all axes but batches and seeds.
        held: how many texts or pictures each set has.
        at_least: sets have not been read yet.

    Raises:
        ConfigError: there are too many.
    """
    updates = sum(math.ceil(count / size) for count in held for size in config.batch_sizes)
    count = cells * len(config.seeds) * updates
    if count > MOST_RUNS:
        raise ConfigError(
            f"expected a grid of at most {MOST_RUNS} runs, got {'at least ' * at_least}{count}"
        )


def check_distinct(runs: Sequence[AnyRun]) -> None:
    """Raise ConfigError where two runs have one key, or one place."""
    seen: dict[object, AnyRun] = {}
    for run in runs:
        for mark in (run.key, run.cell):
            other = seen.setdefault(mark, run)
            if other is not run:
                raise ConfigError(
                    f"two runs of the grid are the same, or have the same titles: {run.cell.title}"
                )
