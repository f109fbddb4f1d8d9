"""The results file: durable, repaired, and for one writer."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from textleak.core.errors import ConfigError
from textleak.grid.prepare import PreparedGrid
from textleak.grid.worker import carry_out, failed
from textleak.results.log import ASIDE, RESULTS, GridRecord, ResultsFile, read_results


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


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda line: line[:50], "invalid JSON"),
        (lambda line: '{"schema": 1}', "key: it is missing"),
        (lambda line: "\x00" * 40, "invalid JSON"),
        (
            lambda line: re.sub('"rouge1":[^,]*', '"rouge1":1.5', line, count=1),
            "less than or equal",
        ),
        (lambda line: re.sub('"token_match":[^,]*', '"token_match":-1', line), "greater than or"),
    ],
)
def test_a_corrupt_line_in_the_middle_is_reported_and_set_aside(
    records: list[GridRecord], tmp_path: Path, spoil: Callable[[str], str], why: str
) -> None:
    good, failure = (record.to_line() for record in records)
    bad = spoil(good.rstrip("\n")) + "\n"
    (tmp_path / RESULTS).write_text(failure + bad + failure)
    said: list[str] = []
    assert read_results(tmp_path, said.append) == records[1:]
    assert len(said) == 1
    assert said[0].startswith(f"{tmp_path / RESULTS}:2: not a result of textleak audit, set aside:")
    assert why in said[0]
    with ResultsFile(tmp_path) as results:
        assert results.complaints == said
        results.append(records[0])
    assert (tmp_path / RESULTS).read_text() == failure + failure + good
    assert (tmp_path / ASIDE).read_text() == bad
    with ResultsFile(tmp_path) as results:
        assert results.complaints == []
