"""Every entry of every registry can be loaded; a wrong name is told the nearest."""

import importlib
import pkgutil

import pytest
from pydantic import BaseModel

import textleak
from textleak.attacks import ATTACKS
from textleak.attacks.base import Attack
from textleak.core.errors import ConfigError
from textleak.core.registry import Registry
from textleak.metrics import TEXT_METRICS, TOKEN_METRICS


def registries() -> list[Registry[object]]:
    """Every registry that any module of the package holds."""
    found: dict[int, Registry[object]] = {}
    for info in pkgutil.walk_packages(textleak.__path__, "textleak."):
        module = importlib.import_module(info.name)
        for value in vars(module).values():
            if isinstance(value, Registry):
                found[id(value)] = value
    return list(found.values())


ALL = registries()
ENTRIES = [(registry, name) for registry in ALL for name in registry]


def test_there_are_registries() -> None:
    assert {registry.kind for registry in ALL} >= {"attack", "token metric", "model family"}


@pytest.mark.parametrize(("registry", "name"), ENTRIES, ids=lambda v: getattr(v, "kind", v))
def test_an_entry_loads_and_says_what_it_is(registry: Registry[object], name: str) -> None:
    entry = registry.load(name)
    assert entry.__doc__
    assert registry.check(name) == name


@pytest.mark.parametrize("registry", ALL, ids=lambda registry: registry.kind)
def test_a_wrong_name_is_told_the_nearest(registry: Registry[object]) -> None:
    name = registry.names()[0]
    with pytest.raises(ConfigError, match=f"unknown {registry.kind} .*did you mean '{name}'"):
        registry.load(name + "x")


@pytest.mark.parametrize("name", ATTACKS.names())
def test_an_attack_keeps_its_promises(name: str) -> None:
    attack_class = ATTACKS.load(name)
    assert issubclass(attack_class, Attack)
    assert attack_class.name == name
    options = attack_class.options_class()
    assert isinstance(options, BaseModel)
    assert options.model_config["extra"] == "forbid"
    assert "__call__" not in vars(attack_class)


@pytest.mark.parametrize("name", TOKEN_METRICS.names())
def test_a_token_metric_is_one_for_the_truth_and_a_rate_for_anything(name: str) -> None:
    metric = TOKEN_METRICS.load(name)
    assert metric([1, 2, 3], [1, 2, 3]) == 1.0
    assert 0.0 <= metric([1, 2, 3], [1, 3]) < 1.0


@pytest.mark.parametrize("name", TEXT_METRICS.names())
def test_a_text_metric_is_one_for_the_truth_and_a_rate_for_anything(name: str) -> None:
    metric = TEXT_METRICS.load(name)
    assert set(metric("a cat sat", "a cat sat").values()) == {1.0}
    assert all(0.0 <= value < 1.0 for value in metric("a cat sat", "a dog").values())
