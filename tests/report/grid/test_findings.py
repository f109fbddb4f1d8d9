"""Verdicts, sentences, curves and tables."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from textleak.core.errors import ConfigError
from textleak.report.grid.curves import curves, labeller
from textleak.report.grid.files import write_report
from textleak.report.grid.findings import defence_findings
from textleak.report.grid.sentences import worst_sentences
from textleak.report.grid.summary import summarise
from textleak.report.grid.warnings import warning_groups
from textleak.results.audited import Audited, read_audit
from textleak.results.log import GridRecord


def test_a_defence_is_judged_by_the_worst_attack_on_it(audited: Audited) -> None:
    verdicts = {f.defence: f.verdict for f in defence_findings(summarise(audited.records))}
    assert verdicts == {
        "none": None,
        "gaussian:std=1e-3": "does not hide",
        "gaussian:std=1e-1": "not found",  # and nothing is known of what is determined
        "fp16": "does not hide",
        "prune:ratio=0.2": "weakens",
    }
    single = [r for r in audited.records if r.cell.batch_size == 1]
    verdicts = {f.defence: f.verdict for f in defence_findings(summarise(single))}
    assert verdicts["gaussian:std=1e-1"] == "not found"


def determined(records: list[GridRecord], said: bool | None) -> list[GridRecord]:
    """The records with the same said of every sentence's margin."""
    found = []
    for record in records:
        if record.result is not None:
            told = [s.model_copy(update={"determined": said}) for s in record.result.sequences]
            result = record.result.model_copy(update={"sequences": told})
            record = record.model_copy(update={"result": result})
        found.append(record)
    return found


def test_a_defence_hides_only_what_no_update_determines(audited: Audited) -> None:
    def verdict(records: list[GridRecord]) -> str | None:
        found = {f.defence: f.verdict for f in defence_findings(summarise(records))}
        return found["gaussian:std=1e-1"]

    single = [r for r in audited.records if r.cell.batch_size == 1]
    assert verdict(determined(single, False)) == "hides"
    assert verdict(determined(single, True)) == "determined, not found"
    assert verdict(determined(audited.records, False)) == "too few texts"


def test_a_failed_run_is_no_recovery_and_no_protection(audited: Audited) -> None:
    blunt = [r for r in audited.records if (r.cell.attack, r.cell.defence) == ("blunt", "fp16")]
    cell = summarise(blunt)[0]
    assert (len(cell.done), cell.failed) == (11, 1)
    assert cell.rates["token_match"].values == 11
    only = summarise([r for r in blunt if r.result is None])
    assert only[0].rates == {}
    assert defence_findings(only)[0].verdict == "not measured"


def test_few_updates_or_wide_intervals_carry_no_claim(audited: Audited) -> None:
    cells = {
        (c.place.attack, c.place.batch_size, c.place.defence): c for c in summarise(audited.records)
    }
    assert cells["sharp", 2, "none"].too_few == "fewer than 10 updates"
    assert cells["sharp", 1, "none"].too_few is None


def test_noise_from_the_seeds_of_the_grid_is_told(audited: Audited) -> None:
    def groups(of: Audited) -> dict[str, list[str]]:
        found = warning_groups(of, summarise(of.records), lambda place: place.attack)
        return {group.title: group.lines for group in found}

    title = "Noise that can be drawn again"
    assert title not in groups(audited)
    seeded = [
        r.model_copy(update={"config": r.config.model_copy(update={"client_seed": 0})})
        for r in audited.records
    ]
    noisy = sum("gaussian" in r.cell.defence for r in seeded)
    (line,) = groups(replace(audited, records=seeded))[title]
    assert line.startswith(f"its seed is known in {noisy} runs")


def test_the_worst_sentence_of_every_defence(audited: Audited) -> None:
    worst = worst_sentences(summarise(audited.records), lambda place: place.attack)
    assert [(w.defence, w.where, w.token_match) for w in worst] == [
        ("none", "sharp", 1.0),
        ("gaussian:std=1e-3", "sharp", 1.0),
        ("gaussian:std=1e-1", "sharp", 0.0),
        ("fp16", "sharp", 1.0),
        ("prune:ratio=0.2", "sharp", 0.4),
    ]
    assert [(t.text, t.kind) for t in worst[-1].recovered][:3] == [
        *(("the", "right"), ("cat", "right"), ("it", "wrong"))
    ]


def test_curves_over_noise_and_batch_size(audited: Audited) -> None:
    found = {curve.name: curve for curve in curves(summarise(audited.records))}
    assert found.keys() == {"gaussian", "batch_size"}
    line = found["gaussian"].lines["blunt · batch 1"]
    assert [x for x, _ in line] == [1e-3, 1e-1]
    assert found["gaussian"].bases["sharp · batch 1"] == 1.0
    assert [x for x, _ in found["batch_size"].lines["sharp"]] == [1, 2]


def test_a_label_names_what_varies(audited: Audited) -> None:
    cells = summarise(audited.records)
    assert labeller(cells)(cells[0].place) == "sharp · none · batch 1"
    alone = labeller(cells[:1], without=("defence",))
    assert alone(cells[0].place) == "sharp"


def test_every_form_of_the_report_is_written(audited: Audited, tmp_path: Path) -> None:
    paths = write_report(tmp_path / "out", audited)
    names = {path.name for path in paths}
    assert names == {
        *("report.html", "report.md", "summary.csv", "sentences.csv"),
        *(f"{n}.{k}" for n in ("heat_map", "gaussian", "batch_size") for k in ("svg", "png")),
    }
    with (tmp_path / "out" / "summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    cells = summarise(audited.records)
    assert [float(row["token_match"]) for row in rows] == pytest.approx(
        [cell.rates["token_match"].mean for cell in cells]
    )
    sentences = [s for r in audited.records if r.result for s in r.result.sequences]
    verdicts = ("proven", "consistent", "unexplained")
    told = {word: sum(int(row[word]) for row in rows) for word in verdicts}
    with (tmp_path / "out" / "sentences.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert told == {word: [line["verdict"] for line in lines].count(word) for word in verdicts}
    assert len(lines) == len(sentences) == sum(told.values())
    assert told["proven"] == sum(s.exact is True for s in sentences) > 0
    text = (tmp_path / "out" / "report.md").read_text()
    assert "| `fp16` | does not hide |" in text
    again = write_report(tmp_path / "again", audited)
    assert [p.read_bytes() for p in paths] == [p.read_bytes() for p in again]


def test_a_folder_without_an_audit_is_refused(
    write_audit: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="no audit in"):
        read_audit(tmp_path)
    folder = write_audit()
    (folder / "results.jsonl").write_text("")
    with pytest.raises(ConfigError, match="no run of the audit in"):
        read_audit(folder)
    (folder / "grid.json").write_text("{}")
    with pytest.raises(ConfigError, match="cannot read"):
        read_audit(folder)
