"""`textleak vision audit`: a grid of pictures through the grid's own planner, log and report."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from textleak_cli.config_file import IMAGE_GRIDS, grid_names, grid_source, preset_names, read_config

from textleak.core.image_config import ImageRunConfig
from textleak.core.image_grid import ImageGridConfig
from textleak.grid.worker import carry_out
from textleak.results.audited import read_audit
from textleak.results.log import ImageGridRecord, read_results
from textleak.vision.pixels import to_picture
from textleak.vision.setup import build_attack

Textleak = Callable[..., Any]
GRID = """\
title: Three pictures
images:
  data: pictures
  count: 3
batch_sizes: [2]
models: [{name: lenet, classes: 4}]
attacks: [{name: idlg, title: short, options: {iterations: 2}}]
defences: [none, "gaussian:std=0.01"]
threads: 1
"""


class Inline:
    """Carries out runs one after another, here."""

    def run(self, runs: Any, observer: Any) -> Any:
        for run in runs:
            observer.begin(run)
            yield carry_out(run)


@pytest.fixture
def grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three pictures of two classes, and a grid of four runs on them."""
    monkeypatch.chdir(tmp_path)
    for index in range(3):
        path = tmp_path / "pictures" / ("cat", "dog")[index // 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        to_picture(torch.linspace(0, 1, 12).roll(index).expand(1, 12, 12)).save(path)
    monkeypatch.setattr("textleak_cli.audit_run.build_executor", lambda *given: Inline())
    (tmp_path / "grid.yaml").write_text(GRID)
    return tmp_path / "grid.yaml"


def test_a_grid_of_pictures_is_run_kept_and_reported(
    grid: Path, textleak: Textleak, tmp_path: Path
) -> None:
    done = textleak("vision", "audit", grid, "-o", "found")
    assert done.code == 0, done.err
    assert "4 runs: 1 model, 1 attack, 2 defences, 2 updates" in done.out
    assert "PSNR" in done.out
    records = read_results("found")
    assert all(isinstance(record, ImageGridRecord) for record in records)
    assert [record.result.batches[0].size for record in records] == [2, 1, 2, 1]
    assert [i.reference_label for r in records[:2] for i in r.result.images] == [0, 0, 1]
    again = textleak("vision", "audit", grid, "-o", "found")
    assert "4 done before, 0 left" in again.out
    assert len(read_results("found")) == 4
    told = textleak("report", "found")
    assert told.code == 0, told.err
    report = Path("found/report")
    assert "gaussian:std=0.01" in (report / "report.html").read_text()
    table = (report / "report.md").read_text().splitlines()
    assert table[0] == "# Three pictures"
    assert sum(line.startswith("| lenet") for line in table) == 2
    rows = list(csv.DictReader((report / "images.csv").read_text().splitlines()))
    assert len(rows) == 6
    assert {row["defence"] for row in rows} == {"none", "gaussian:std=0.01"}
    assert isinstance(read_audit("found").config, ImageGridConfig)


def test_a_run_of_a_grid_is_the_commands_own(grid: Path, textleak: Textleak) -> None:
    assert textleak("vision", "audit", grid, "-o", "found", "--quiet").code == 0
    first = read_results("found")[0]
    given = ("--data", "pictures", "--batch-size", 2, "--classes", 4, "--client-seed", 0)
    done = textleak(
        "vision", "attack", *given, "-a", "idlg", "--set", "iterations=2", "--json", "-"
    )
    alone = json.loads(done.out)
    kept = first.result.model_dump(mode="json")
    assert alone["images"] == kept["images"]
    assert alone["evaluations"] == kept["evaluations"]
    assert alone["gradient_error"] == kept["gradient_error"]


def test_the_content_of_a_picture_is_in_its_key(grid: Path, textleak: Textleak) -> None:
    assert textleak("vision", "audit", grid, "-o", "found", "--quiet").code == 0
    to_picture(torch.zeros(1, 12, 12)).save("pictures/dog/2.png")
    assert "2 done before, 2 left" in textleak("vision", "audit", grid, "-o", "found").out


def test_a_failure_is_a_record_and_is_retried(
    grid: Path, textleak: Textleak, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: Any) -> Any:
        raise ValueError("NaN somewhere")

    with monkeypatch.context() as patch:
        patch.setattr("textleak.vision.attacks.idlg.IDLG.run", refuse)
        done = textleak("vision", "audit", grid, "-o", "found")
    assert done.code == 1
    assert {record.error for record in read_results("found")} == {"ValueError: NaN somewhere"}
    report = textleak("report", "found")
    assert report.code == 0, report.err
    assert textleak("vision", "audit", grid, "-o", "found", "--retry-failed").code == 0
    assert {record.status for record in read_results("found")} == {"done"}


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("attacks: [dgl]", "did you mean 'dlg'"),
        ("models: [lenat]", "did you mean 'lenet'"),
        ("defences: [noise]", "unknown defence 'noise'"),
        ("shares: [[none*]]", "no parameter of the model matches"),
        ("images: {data: nowhere}", "no folder of pictures"),
        ("images: {count: 2}", "expected one of data, dataset"),
        ("texts: [a cat]", "unknown key 'texts'"),
    ],
)
def test_what_is_wrong_is_one_line_before_anything_is_written(
    grid: Path, textleak: Textleak, tmp_path: Path, line: str, complaint: str
) -> None:
    key = line.split(":")[0]
    kept = [part for part in GRID.split("\n") if part and not part.startswith((key, "  "))]
    if key != "images":
        kept = [part for part in kept if part != "images:"] + ["images: {data: pictures, count: 3}"]
    grid.write_text("\n".join([*(part for part in kept if part != "images:"), line]) + "\n")
    done = textleak("vision", "audit", grid, "-o", "found")
    assert done.code == 2
    assert complaint in done.err
    assert "grid.yaml" in done.err
    assert done.err.count("\n") == 1
    assert not (tmp_path / "found").exists()


def test_a_dry_run_writes_nothing(grid: Path, textleak: Textleak, tmp_path: Path) -> None:
    done = textleak("vision", "audit", grid, "-o", "found", "--dry-run")
    assert done.code == 0
    assert "no estimate before the first runs are done" in done.out
    assert not (tmp_path / "found").exists()


def test_what_is_packaged_for_pictures_is_valid(textleak: Textleak) -> None:
    names = preset_names(ImageRunConfig)
    assert "vision/dlg-paper" in names
    for name in names:
        build_attack(ImageRunConfig(**read_config(name, ImageRunConfig)))
    for name in grid_names(IMAGE_GRIDS):
        grid_source(name, IMAGE_GRIDS).validated(ImageGridConfig)
    assert not set(grid_names()) & set(grid_names(IMAGE_GRIDS))
    assert "vision/dlg-paper" in textleak("list", "image-presets").out
    assert "vision-grids/defences" in textleak("list", "image-grids").out
