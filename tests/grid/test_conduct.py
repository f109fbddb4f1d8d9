"""Runs that are done are not done again, whatever happened in between."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from textleak.grid.conduct import GridWatcher, conduct, outstanding
from textleak.grid.plan import GridRun
from textleak.grid.prepare import PreparedGrid
from textleak.grid.worker import carry_out
from textleak.results.grid_file import read_grid, write_grid
from textleak.results.log import GridRecord, ResultsFile, read_results

Prepared = Callable[..., PreparedGrid]


def finish(grid: PreparedGrid, folder: Path, executor: Any, **how: bool) -> list[GridRecord]:
    with ResultsFile(folder) as results:
        left = outstanding(grid.runs, results.records, **how)
        conduct(left.runs, results, executor, GridWatcher())
        return list(results.records.values())


def untimed(records: list[GridRecord]) -> dict[str, Any]:
    return {record.key: record.without_timings() for record in records}


def test_an_interrupted_audit_goes_on_where_it_was(
    prepared: Prepared, inline: Any, tmp_path: Path
) -> None:
    grid = prepared()
    whole = finish(grid, tmp_path / "whole", inline())
    assert [record.status for record in whole] == ["done"] * 4
    with pytest.raises(KeyboardInterrupt):
        finish(grid, tmp_path / "cut", inline(stop_after=1))
    first = (tmp_path / "cut" / "results.jsonl").read_text()
    again = finish(grid, tmp_path / "cut", inline())
    lines = (tmp_path / "cut" / "results.jsonl").read_text()
    assert lines.startswith(first)
    assert len(lines.splitlines()) == 4
    assert untimed(again) == untimed(whole)


def test_neither_order_nor_company_changes_a_result(prepared: Prepared) -> None:
    runs = prepared().runs
    forwards = [carry_out(run) for run in runs]
    backwards = [carry_out(run) for run in reversed(runs)]
    assert untimed(forwards) == untimed(backwards)


def test_a_failure_is_a_record_and_is_retried_on_request(
    prepared: Prepared, inline: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise IndexError("no such\nthing")

    grid = prepared()
    with monkeypatch.context() as broken:
        broken.setattr("textleak.audit.setup.run_audit", fail)
        records = finish(grid, tmp_path, inline())
    assert {record.status for record in records} == {"failed"}
    assert records[0].error == "IndexError: no such thing"
    assert {record.status for record in finish(grid, tmp_path, inline())} == {"failed"}
    records = finish(grid, tmp_path, inline(), retry_failed=True)
    assert {record.status for record in records} == {"done"}
    assert len(read_results(tmp_path)) == 4


def test_another_grid_in_the_folder_runs_only_what_is_missing(
    prepared: Prepared, inline: Any, tmp_path: Path
) -> None:
    finish(prepared(), tmp_path, inline())
    grid = prepared(defences=["none", "fp16"])
    with ResultsFile(tmp_path) as results:
        left = outstanding(grid.runs, results.records)
    assert (len(left.runs), left.done, left.foreign) == (2, 2, 2)
    write_grid(tmp_path, grid.config, [run.key for run in grid.runs])
    config, keys = read_grid(tmp_path)
    assert config == grid.config
    assert keys == [run.key for run in grid.runs]


def test_an_attack_that_its_budget_ends_is_done_and_run_again_with_another(
    prepared: Prepared, inline: Any, tmp_path: Path
) -> None:
    short = prepared(max_evaluations=2)
    records = finish(short, tmp_path, inline())
    assert {record.status for record in records} == {"done"}
    results = [record.result for record in records]
    assert [result.stopped for result in results if result is not None] == ["budget"] * 4
    whole = prepared()
    with ResultsFile(tmp_path) as kept:
        assert not outstanding(short.runs, kept.records).runs
        left = outstanding(whole.runs, kept.records)
        assert (len(left.runs), left.done, left.foreign) == (4, 0, 0)
    again = finish(whole, tmp_path, inline())
    assert [record.result.stopped for record in again if record.result is not None] == [None] * 4


def test_a_watcher_hears_of_every_run(prepared: Prepared, inline: Any, tmp_path: Path) -> None:
    class Notes(GridWatcher):
        heard: list[str] = []  # noqa: RUF012

        def begin(self, run: GridRun) -> None:
            self.heard.append(f"begin {run.cell.index}")

        def finished(self, record: GridRecord) -> None:
            self.heard.append(f"end {record.cell.index}")

    grid = prepared(defences=["none"])
    with ResultsFile(tmp_path) as results:
        ended = conduct(grid.runs, results, inline(), Notes())
    assert Notes.heard == ["begin 0", "end 0", "begin 1", "end 1"]
    assert ended == {"done": 2}
