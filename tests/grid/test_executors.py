"""Processes, killed and not, and a local Ray cluster give what one process gives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from textleak.core.errors import ConfigError
from textleak.grid.conduct import GridWatcher
from textleak.grid.executors import LocalProcesses, build_executor
from textleak.grid.plan import GridRun
from textleak.grid.prepare import PreparedGrid
from textleak.grid.worker import carry_out
from textleak.results.log import GridRecord, read_results

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from textleak_cli.main import main; main()", "audit"]


def untimed(records: Any) -> dict[str, Any]:
    return {record.key: record.without_timings() for record in records}


def test_a_kill_loses_and_repeats_nothing(
    prepared: Callable[..., PreparedGrid], grid_text: str, tmp_path: Path
) -> None:
    """The command in processes of its own, killed with all its workers, and started again."""
    more = "seeds: [0, 1]\n"
    (tmp_path / "grid.yaml").write_text(grid_text + more)
    alone = untimed(map(carry_out, prepared(grid_text + more).runs))
    command = [*COMMAND, "grid.yaml", "--output", "out", "--workers", "2"]
    process = subprocess.Popen(command, cwd=tmp_path, start_new_session=True)
    results = tmp_path / "out" / "results.jsonl"
    while process.poll() is None and (
        not results.exists() or results.read_bytes().count(b"\n") < 3
    ):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = results.read_text()
    assert before.count("\n") >= 3
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert results.read_text().startswith(before[: before.rfind("\n") + 1])
    assert results.read_text().count("\n") == 8
    assert untimed(read_results(tmp_path / "out")) == alone


class Killer(GridWatcher):
    """Notes what is begun."""

    def __init__(self) -> None:
        self.begun: list[str] = []

    def begin(self, run: GridRun) -> None:
        self.begun.append(run.key)


def die(run: GridRun) -> GridRecord:
    if run.config.seed == 666:
        os.kill(os.getpid(), signal.SIGKILL)
    return GridRecord(key=run.key, status="done", cell=run.cell, config=run.config)


def test_the_death_of_a_worker_costs_only_its_own_run(
    prepared: Callable[..., PreparedGrid], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("textleak.grid.executors.carry_out", die)
    runs = prepared().runs
    runs[1] = replace(runs[1], config=runs[1].config.model_copy(update={"seed": 666}))
    watcher = Killer()
    with closing(LocalProcesses(1).run(runs, watcher)) as records:
        found = {record.key: record for record in records}
    assert [found[run.key].status for run in runs] == ["done", "failed", "done", "done"]
    assert found[runs[1].key].error == "its worker died twice (out of memory?)"
    assert watcher.begun.count(runs[1].key) == 2


def test_executors_have_names() -> None:
    with pytest.raises(ConfigError, match="unknown executor 'locla'; did you mean 'local'"):
        build_executor("locla", 1, 1)


def test_without_ray_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"ray is not installed: pip install 'textleak\[ray\]'"):
        build_executor("ray", 1, 1)


def test_ray_gives_the_same(
    prepared: Callable[..., PreparedGrid], grid_text: str, tmp_path: Path
) -> None:
    """In a process of its own: Ray leaves sockets open, which are warnings here."""
    pytest.importorskip("ray")
    (tmp_path / "grid.yaml").write_text(grid_text)
    command = [*COMMAND, "grid.yaml", "-o", "out", "--workers", "1", "--executor", "ray"]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    alone = untimed(map(carry_out, prepared().runs))
    assert untimed(read_results(tmp_path / "out")) == alone
