"""Every run of a grid on images: its place, its configuration, and its key."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

from textleak.core.image_config import ImageRunConfig
from textleak.core.image_grid import ImageGridConfig, PictureSet
from textleak.grid.plan import BaseRun, axes_of, check_distinct, check_product, digest
from textleak.results.cell import Cell
from textleak.vision.data import ImageDataOptions, LoadedImages, load_images

ImageRun: TypeAlias = BaseRun[ImageRunConfig]
# What changes how a run is shown, how fast it is or where it is cut short; and where its pictures are.
_NOT_IN_KEY = {"every", "threads", "time_limit", "max_evaluations", "count", "batch_size"}
_NOT_IN_KEY |= {"image", "data", "dataset", "split", "index", "size", "labels"}


@dataclass(frozen=True)
class LoadedSet:
    """The pictures of one set.

    Attributes:
        named: the set.
        images: its pictures.
    """

    named: PictureSet
    images: LoadedImages

    @property
    def labels(self) -> list[int | None]:
        """Their classes."""
        return list(self.named.labels if self.named.labels is not None else self.images.labels)


def load_set(part: PictureSet) -> LoadedSet:
    """Read a set of pictures.

    Raises:
        DataError: it cannot be read, or has fewer pictures than asked for.
    """
    options = ImageDataOptions(
        data=part.data,
        dataset=part.dataset,
        split=part.split,
        index=part.start,
        batch_size=part.count,
        size=part.size,
    )
    return LoadedSet(part, load_images(options))


def check_count(config: ImageGridConfig) -> None:
    """Refuse a grid of more runs than any is meant to have."""
    axes = (config.models, config.attacks, config.shares, config.defences)
    check_product(config, math.prod(map(len, axes)), [part.count for part in config.images])


def plan_runs(
    config: ImageGridConfig, sets: Sequence[LoadedSet], threads: int | None = None
) -> list[ImageRun]:
    """Every run of the grid, those of one model together.

    Args:
        config: the grid.
        sets: its sets of pictures, as loaded.
        threads: torch threads of one run.

    Raises:
        ConfigError: two cells are the same.
    """
    runs: list[ImageRun] = []
    outer = product(config.models, config.attacks, config.shares, config.defences)
    for model, attack, share, defences in outer:
        options, names = axes_of(config, model, attack, share, defences, threads)
        base = ImageRunConfig(**options, labels_known=config.labels_known)
        for part in sets:
            for size, seed in product(config.batch_sizes, config.seeds):
                for index, rows in enumerate(_batches(part, size)):
                    place = dict(texts=part.named.shown, index=index, batch_size=size, seed=seed)
                    cell = Cell(**place, **names, task="image")
                    client = seed + index if config.client_seeded else None
                    runs.append(_run(cell, base, part, rows, client))
    check_distinct(runs)
    return runs


def _batches(part: LoadedSet, size: int) -> Iterator[range]:
    """The places in the set of each update's pictures."""
    count = len(part.images.pixels)
    for start in range(0, count, size):
        yield range(start, min(start + size, count))


def _run(
    cell: Cell, base: ImageRunConfig, part: LoadedSet, rows: range, client_seed: int | None
) -> ImageRun:
    named, labels = part.named, part.labels[rows.start : rows.stop]
    own = [label for label in labels if label is not None]
    config = base.model_copy(
        update=dict(
            data=named.data,
            dataset=named.dataset,
            split=named.split,
            index=named.start + rows.start,
            batch_size=len(rows),
            size=named.size,
            labels=tuple(own) if len(own) == len(labels) else None,
            classes=base.classes or part.images.classes,
            client_seed=client_seed,
            seed=cell.seed + cell.index,
        )
    )
    pixels = part.images.pixels[rows.start : rows.stop].contiguous()
    seen = hashlib.sha256(pixels.numpy().tobytes()).hexdigest()
    key = digest(cell, config, _NOT_IN_KEY, pictures=[seen, list(pixels.shape), labels])
    return BaseRun(cell, config, key)
