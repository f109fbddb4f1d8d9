"""The results file: durable, repaired, and for one writer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from textleak.errors import ConfigError
from textleak.grid.prepare import PreparedGrid
from textleak.grid.results import RESULTS, GridRecord, ResultsFile, read_results
from textleak.grid.worker import carry_out, failed


@pytest.fixture
def records(prepared: Callable[..., PreparedGrid]) -> list[GridRecord]:
    runs = prepared().runs
    return [carry_out(runs[0]), failed(runs[1], "it fell over")]


def test_what_is_written_is_read_again(records: list[GridRecord], tmp_path: Path) -> None:
    with ResultsFile(tmp_path / "new") as results:
        for record in records:
            results.append(record)
    assert read_results(tmp_path / "new") == records
    with ResultsFile(tmp_path / "new") as results:
        assert list(results.records.values()) == records
        assert not results.repaired


@pytest.mark.parametrize("left", [1, 40, -1])
def test_a_torn_last_line_is_cut_off(records: list[GridRecord], tmp_path: Path, left: int) -> None:
    whole, torn = (record.to_line() for record in records)
    (tmp_path / RESULTS).write_text(whole + torn[:left])
    assert read_results(tmp_path) == records[:1]
    with ResultsFile(tmp_path) as results:
        assert results.repaired
        results.append(records[1])
    assert (tmp_path / RESULTS).read_text() == whole + torn


def test_the_last_record_of_a_key_counts(records: list[GridRecord], tmp_path: Path) -> None:
    broken = records[0].model_copy(update={"status": "failed", "result": None, "error": "x"})
    with ResultsFile(tmp_path) as results:
        results.append(broken)
        results.append(records[0])
    assert read_results(tmp_path) == records[:1]


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    with ResultsFile(tmp_path), pytest.raises(ConfigError, match="another audit is writing to"):
        ResultsFile(tmp_path)
    ResultsFile(tmp_path).close()


def test_a_line_that_is_no_result_is_named(tmp_path: Path) -> None:
    (tmp_path / RESULTS).write_text('{"schema": 1}\n')
    with pytest.raises(ConfigError, match=r"results.jsonl:1: not a result of textleak audit"):
        ResultsFile(tmp_path)
    with pytest.raises(ConfigError, match="no audit in"):
        read_results(tmp_path / "none")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match="cannot write to the folder"):
        ResultsFile(tmp_path / "file")
