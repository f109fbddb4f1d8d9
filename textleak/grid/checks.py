"""Everything that a grid names is checked before its first run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from textleak.attacks import ATTACKS
from textleak.audit.setup import build_attack, checked_device
from textleak.core.config import RunConfig
from textleak.core.errors import ConfigError, TextleakError, unknown
from textleak.core.grid_config import AttackEntry, GridConfig, ModelEntry
from textleak.core.threat_model import ThreatModel
from textleak.core.update import shared_names
from textleak.defences import Defences, parse_defence
from textleak.grid.plan import check_count
from textleak.grid.texts import LoadedTexts, load_texts
from textleak.models import ModelOptions
from textleak.models.inspection import ModelFacts, inspect_model
from textleak.tasks import TASKS

Found = TypeVar("Found")
Where = Sequence[str | int]
Locate = Callable[[Where, str], ConfigError]
Facts = dict[tuple[ModelEntry, str], ModelFacts]


def check_grid(config: GridConfig, locate: Locate) -> tuple[list[LoadedTexts], Facts]:
    """Check every name, option and text of a grid; give its texts, and what is known of its models.

    Args:
        config: the grid.
        locate: makes an error of a key path and of what is wrong there.

    Raises:
        ConfigError: something is wrong; the first thing found.
    """
    at(locate, (), partial(check_count, config))
    at(locate, ("device",), partial(checked_device, config.device))
    for i, attack in enumerate(config.attacks):
        _check_attack(attack, ("attacks", i), locate)
    for i, specs in enumerate(config.defences):
        for j, spec in enumerate(specs):
            at(locate, ("defences", i, j), partial(parse_defence, spec))
        at(locate, ("defences", i), partial(Defences.parse, specs))
    texts = _check_texts(config, locate)
    at(locate, (), partial(check_count, config, texts))
    facts: Facts = {}
    for i, model in enumerate(config.models):
        for task in config.tasks:
            options = ModelOptions(**model.model_dump(exclude={"title"}), device=config.device)
            known = at(locate, ("models", i), partial(inspect_model, options, task))
            facts[model, task] = known
            _check_shares(config, known, locate)
            for j, part in enumerate(texts):
                what = _misfit(part, known, task)
                if what:
                    raise locate(("texts", j), f"{part.title}: {what} ({model.shown}, {task})")
    return texts, facts


def _check_texts(config: GridConfig, locate: Locate) -> list[LoadedTexts]:
    loaded: dict[str, LoadedTexts] = {}
    for i, part in enumerate(config.texts):
        found = at(locate, ("texts", i), partial(load_texts, part))
        if found.title in loaded:
            what = f"two sets of texts are called {found.title!r}: give one a title"
            raise locate(("texts", i), what)
        loaded[found.title] = found
    return list(loaded.values())


def at(locate: Locate, where: Where, make: Callable[[], Found]) -> Found:
    """What `make` gives; whatever it refuses is refused with its place."""
    try:
        return make()
    except TextleakError as error:
        raise locate(where, str(error)) from error


def _check_attack(attack: AttackEntry, where: Where, locate: Locate) -> None:
    if attack.name not in ATTACKS:
        raise locate((*where, "name"), unknown("attack", attack.name, ATTACKS))
    fields = ATTACKS.load(attack.name).options_class.model_fields
    for key in attack.options:
        if key not in fields:
            what = unknown(f"option of {attack.name}", key, fields)
            raise locate((*where, "options", key), what)
    run = RunConfig(attack=attack.name, labels=attack.labels, options=attack.options)
    at(locate, (*where, "options"), partial(build_attack, run))


def _check_shares(config: GridConfig, facts: ModelFacts, locate: Locate) -> None:
    """Every cell must share something of the model."""
    for i, patterns in enumerate(config.shares):
        granted = ThreatModel(shared=patterns)
        at(locate, ("shares", i), partial(shared_names, facts.parameters, granted))
        for j, specs in enumerate(config.defences):
            at(locate, ("defences", j), partial(_plan, config, facts, granted, specs))


def _plan(
    config: GridConfig, facts: ModelFacts, granted: ThreatModel, specs: tuple[str, ...]
) -> None:
    """Plan the client's training, which refuses defences that do not fit."""
    defences = Defences.parse(specs)
    names = shared_names(facts.parameters, defences.assumed(granted))
    defences.plan(names, dropout=config.dropout)


def _misfit(texts: LoadedTexts, facts: ModelFacts, task: str) -> str | None:
    """Why a set of texts does not fit a model, or None."""
    for number, ids in enumerate(facts.tokenizer(texts.sentences)["input_ids"], 1):
        if len(ids) > facts.max_length:
            return (
                f"text {number} has {len(ids)} tokens, the model takes at most {facts.max_length}"
            )
    if TASKS.load(task).one_class and texts.labels is not None:
        wrong = [label for label in texts.labels if not 0 <= label < facts.num_labels]
        if wrong:
            return f"labels must lie between 0 and {facts.num_labels - 1}, got {wrong[0]}"
    return None
