"""A small grid on the tiny model, and an executor that stays in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from textleak.core.yaml_source import YamlSource
from textleak.grid.executors import Observer
from textleak.grid.plan import GridRun
from textleak.grid.prepare import PreparedGrid, prepare_grid
from textleak.grid.worker import carry_out
from textleak.results.log import GridRecord

GRID = """\
texts: [the cat sat on the mat ., a dog ran !]
models: [{model}]
attacks:
  - name: dlg
    title: short
    options: {{restarts: 1, rounds: 1, iterations: 2, discrete: false}}
defences: [none, "gaussian:std=0.01"]
threads: 1
"""


class Inline:
    """Carries out runs one after another, here; `stop_after` plays a Ctrl-C."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.stop_after = stop_after

    def run(self, runs: Iterable[GridRun], observer: Observer) -> Iterator[GridRecord]:
        for number, run in enumerate(runs):
            if number == self.stop_after:
                raise KeyboardInterrupt
            observer.begin(run)
            yield carry_out(run)


@pytest.fixture
def inline() -> type[Inline]:
    return Inline


@pytest.fixture
def grid_text(mlm_folder: str) -> str:
    """The YAML of a grid of four runs."""
    return GRID.format(model=mlm_folder)


@pytest.fixture
def prepared(grid_text: str) -> Callable[..., PreparedGrid]:
    """The small grid, planned; keywords are more YAML lines."""

    def prepare(text: str | None = None, **changes: Any) -> PreparedGrid:
        source = YamlSource.parse(grid_text if text is None else text, "grid.yaml")
        data = {**source.data, **changes}
        return prepare_grid(YamlSource(source.shown, data, source.tree), workers=1)

    return prepare
