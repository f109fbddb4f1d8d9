"""Every entry of every registry can be loaded; a wrong name is told the nearest."""

import importlib
import pkgutil
from pathlib import Path

import pytest

import textleak
from textleak.core.errors import ConfigError
from textleak.core.registry import Registry
from textleak.metrics import METRICS, Pair


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
    assert {registry.kind for registry in ALL} >= {"attack", "metric", "model family"}


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


@pytest.mark.parametrize("name", METRICS.names())
def test_a_metric_is_one_for_the_truth_and_a_rate_for_anything(name: str) -> None:
    metric = METRICS.load(name)
    assert metric.title
    assert metric.says
    assert metric.compute(Pair([1, 2, 3], [1, 2, 3], "a cat sat", "a cat sat")) == 1.0
    assert 0.0 <= metric.compute(Pair([1, 2, 3], [1, 3], "a cat sat", "a dog")) < 1.0


def test_an_outside_entry_that_cannot_be_imported_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = tmp_path / "broken-1.dist-info"
    made.mkdir()
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (made / "entry_points.txt").write_text(
        "[textleak.tried]\nbad = no_such_module:Thing\nown = x:y\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry[object](
        "trial", {"own": "textleak.core.errors:ConfigError"}, "textleak.tried"
    )
    assert registry.names() == ["own", "bad"]
    assert registry.load("own") is ConfigError
    with pytest.raises(ConfigError, match="the trial 'bad' of an outside package"):
        registry.load("bad")
