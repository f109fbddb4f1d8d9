"""`textleak audit` and `textleak report`, with runs carried out in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from textleak.core.yaml_source import YamlSource
from textleak.grid.executors import Observer
from textleak.grid.plan import GridRun
from textleak.grid.worker import carry_out
from textleak.results.log import GridRecord, ResultsFile, read_results

Textleak = Callable[..., Any]
GRID = """\
title: Cats
texts: [the cat sat on the mat ., a dog ran !]
models: {model}
attacks: {{name: fake, options: {{wrong: 1, iterations: 1}}}}
defences: [none, fp16]
"""
pytestmark = pytest.mark.usefixtures("fake")


class Here:
    """Runs in this process; a Ctrl-C comes before run `stop_at`."""

    stop_at: int | None = None

    def __init__(self, *_: object) -> None:
        pass

    def run(self, runs: Iterable[GridRun], observer: Observer) -> Iterator[GridRecord]:
        for number, run in enumerate(runs):
            if number == self.stop_at:
                raise KeyboardInterrupt
            observer.begin(run)
            yield carry_out(run)


@pytest.fixture
def audit(
    textleak: Textleak, mlm_folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Textleak:
    monkeypatch.setattr("textleak.grid.executors.LocalProcesses", Here)
    (tmp_path / "grid.yaml").write_text(GRID.format(model=mlm_folder))
    return lambda *more: textleak("audit", "grid.yaml", "--workers", 1, *more)


def test_an_audit_and_its_report(audit: Textleak, textleak: Textleak, tmp_path: Path) -> None:
    outcome = audit("-o", "out")
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0] == "4 runs: 1 model, 1 attack, 2 defences, 2 updates"
    assert lines[1] == "no estimate before the first runs are done"
    assert lines[2].startswith("[1/4] fake wrong=1,iterations=1 · mlm · mlm · none · sentences 1")
    assert lines[-1] == "results in out; textleak report out"
    first = (tmp_path / "out" / "results.jsonl").read_bytes()
    again = audit("-o", "out").out.splitlines()
    assert again[1:3] == ["4 done before, 0 left", "nothing left to run"]
    assert (tmp_path / "out" / "results.jsonl").read_bytes() == first
    made = textleak("report", "out")
    assert made.out == "out/report/report.html, and 5 files beside it\n"
    assert "<h1>Cats</h1>" in (tmp_path / "out" / "report" / "report.html").read_text()
    assert textleak("report", "out", "--compare", "out", "-o", "both").code == 0
    assert "0 of them clearly differ" in (tmp_path / "both" / "report.html").read_text()


def test_a_dry_run_runs_and_writes_nothing(audit: Textleak, tmp_path: Path) -> None:
    outcome = audit("-o", "out", "--dry-run", "--count", 1)
    assert outcome.code == 0
    assert outcome.out.startswith("2 runs: 1 model, 1 attack, 2 defences\n")
    assert not (tmp_path / "out").exists()


def test_ctrl_c_keeps_what_is_done(
    audit: Textleak, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Here, "stop_at", 3)
    outcome = audit("-o", "out")
    assert outcome.code == 130
    assert outcome.err == (
        "textleak: interrupted: 3 of 4 runs are done and kept; the same command goes on\n"
    )
    assert len(read_results(tmp_path / "out")) == 3
    monkeypatch.setattr(Here, "stop_at", None)
    assert "3 done before, 1 left" in audit("-o", "out").out
    assert len(read_results(tmp_path / "out")) == 4


def test_failures_are_told_and_retried(
    audit: Textleak, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise IndexError("no such thing")

    with monkeypatch.context() as broken:
        broken.setattr("textleak.audit.setup.run_audit", fail)
        outcome = audit("-o", "out")
    assert outcome.code == 1
    assert "failed: 4; --retry-failed runs them again" in outcome.out
    assert "4 failed before; --retry-failed runs them again" in audit("-o", "out").out
    assert audit("-o", "out", "--retry-failed").code == 0


def test_two_audits_in_one_folder_are_refused(audit: Textleak, tmp_path: Path) -> None:
    with ResultsFile(tmp_path / "out"):
        outcome = audit("-o", "out")
    assert outcome.code == 2
    assert outcome.err == "textleak: another audit is writing to 'out'\n"


@pytest.mark.parametrize(
    ("more", "match"),
    [
        ("atacks: dlg\n", "grid.yaml:6: unknown key 'atacks'; did you mean 'attacks'?"),
        ("seeds: x\n", "grid.yaml:6: seeds.0: input should be a valid integer"),
        ("shares: nix*\n", "grid.yaml:6: no parameter of the model matches"),
    ],
)
def test_a_wrong_grid_is_one_line_before_anything_is_written(
    audit: Textleak, tmp_path: Path, more: str, match: str
) -> None:
    path = tmp_path / "grid.yaml"
    path.write_text(path.read_text() + more)
    outcome = audit("-o", "out")
    assert outcome.code == 2
    assert outcome.err.startswith(f"textleak: {match}")
    assert outcome.err.count("\n") == 1
    assert outcome.out == ""
    assert not (tmp_path / "out").exists()


def test_wrong_names_of_grids_and_audits(textleak: Textleak) -> None:
    assert "unknown configuration 'paper/text-tabel'; did you mean 'paper/text-table'" in (
        textleak("audit", "paper/text-tabel").err
    )
    assert "no configuration file at 'none.yaml'" in textleak("audit", "none.yaml").err
    assert "no audit in 'none'" in textleak("report", "none").err


def packaged() -> list[str]:
    from textleak_cli.config_file import grid_names

    return grid_names()


@pytest.mark.parametrize("name", packaged())
def test_packaged_grids_are_valid(
    textleak: Textleak, mlm_folder: str, tmp_path: Path, name: str
) -> None:
    from textleak_cli.config_file import grid_source, preset_summary

    from textleak.core.grid_config import GridConfig

    assert preset_summary(name)
    source = grid_source(name)
    assert isinstance(source, YamlSource)
    kinds = source.validated(GridConfig).tasks
    (tmp_path / "lines.txt").write_text("the cat sat .\n")
    if kinds == ("mlm",):
        given = ("--texts", "lines.txt", "--count", 1, "--model", mlm_folder, "--dry-run")
        assert textleak("audit", name, *given).code == 0
