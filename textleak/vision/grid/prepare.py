"""From the YAML of a grid on images to its runs: overridden, checked and planned."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TypeAlias

from textleak.audit.setup import checked_device
from textleak.core.errors import ConfigError
from textleak.core.image_config import ImageRunConfig
from textleak.core.image_grid import ImageGridConfig, ImageModelEntry
from textleak.core.threat_model import ThreatModel
from textleak.core.update import shared_names
from textleak.core.yaml_source import YamlSource
from textleak.defences import Defences, parse_defence
from textleak.grid.checks import Locate, at
from textleak.grid.estimate import Costs
from textleak.grid.executors import default_threads
from textleak.grid.prepare import BasePrepared
from textleak.vision.grid.plan import ImageRun, LoadedSet, check_count, load_set, plan_runs
from textleak.vision.models import ImageModel, load_image_model
from textleak.vision.setup import build_attack, classifier

PreparedImages: TypeAlias = BasePrepared[ImageGridConfig, ImageRun]


def prepare_images(
    source: YamlSource,
    *,
    workers: int,
    models: Sequence[str] | None = None,
    count: int | None = None,
) -> PreparedImages:
    """Check everything in `source` and plan its runs.

    Args:
        source: the grid's YAML.
        workers: runs carried out at a time.
        models: names that take the place of its models.
        count: how many pictures are taken of each set.

    Raises:
        ConfigError: something that the grid names is not valid; with file and line.
    """
    config = source.validated(ImageGridConfig)
    if count is not None:
        sets = tuple(
            part.model_copy(update={"count": count, "labels": part.labels and part.labels[:count]})
            for part in config.images
        )
        config = config.model_copy(update={"images": sets})
    if models:
        entries = tuple(ImageModelEntry(name=name) for name in models)
        config = config.model_copy(update={"models": entries})
    loaded = _checked(config, source.error)
    threads = config.threads or default_threads(workers)
    try:
        runs = plan_runs(config, loaded, threads)
    except ConfigError as error:
        raise source.error((), str(error)) from error
    return BasePrepared(config, runs, Costs({}), threads)


def _checked(config: ImageGridConfig, locate: Locate) -> list[LoadedSet]:
    """The sets of pictures, once every name, option and picture is checked."""
    at(locate, (), partial(check_count, config))
    at(locate, ("device",), partial(checked_device, config.device))
    for i, attack in enumerate(config.attacks):
        run = ImageRunConfig(attack=attack.name, options=attack.options)
        at(locate, ("attacks", i), partial(build_attack, run))
    for i, specs in enumerate(config.defences):
        for j, spec in enumerate(specs):
            at(locate, ("defences", i, j), partial(parse_defence, spec))
        at(locate, ("defences", i), partial(Defences.parse, specs))
    sets: dict[str, LoadedSet] = {}
    for i, part in enumerate(config.images):
        found = at(locate, ("images", i), partial(load_set, part))
        if part.shown in sets:
            raise locate(
                ("images", i), f"two sets of pictures are called {part.shown!r}: give one a title"
            )
        sets[part.shown] = found
    for i, entry in enumerate(config.models):
        for found in sets.values():
            model = at(locate, ("models", i), partial(_model, entry, found))
            _check_shares(config, model, locate)
            wrong = [label for label in found.labels if (label or 0) not in range(model.classes)]
            if wrong:
                what = f"labels must lie between 0 and {model.classes - 1}, got {wrong[0]}"
                raise locate(("models", i), f"{found.named.shown}: {what} ({entry.shown})")
    return list(sets.values())


def _model(entry: ImageModelEntry, part: LoadedSet) -> ImageModel:
    named = ImageRunConfig(model=entry.name, **entry.model_dump(exclude={"name", "title"}))
    return load_image_model(classifier(named, part.images))


def _check_shares(config: ImageGridConfig, model: ImageModel, locate: Locate) -> None:
    """Every cell must share something of the model."""
    for i, patterns in enumerate(config.shares):
        granted = ThreatModel(lengths=False, shared=patterns)
        at(locate, ("shares", i), partial(shared_names, model.parameters, granted))
        for j, specs in enumerate(config.defences):
            at(locate, ("defences", j), partial(_plan, model, granted, specs))


def _plan(model: ImageModel, granted: ThreatModel, specs: tuple[str, ...]) -> None:
    """Plan the client's training, which refuses defences that do not fit."""
    defences = Defences.parse(specs)
    defences.plan(shared_names(model.parameters, defences.assumed(granted)))
