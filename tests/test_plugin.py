"""What an outside package adds by entry points appears in lists, in the JSON, on the screen and in the report."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from families.folders import CORPUS, make_folder

from tests.sharing import share
from textleak.models import ModelOptions, load_model
from textleak.vision.pixels import to_picture

PLUGIN = Path(__file__).parent / "plugin"
SCRIPT = """
import sys
from textleak_cli.main import main
for line in sys.stdin.read().splitlines():
    sys.argv = ["textleak", *line.split("\\t")]
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
"""
KINDS = ("attacks", "image-attacks", "defences", "metrics", "families", "readers")
GRID = """\
texts: [the cat sat, a dog]
batch_sizes: 2
models: {model}
attacks: first-words
"""


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outside")


@pytest.fixture(scope="module")
def said(where: Path, mlm_folder: str) -> str:
    """What textleak says to each call in turn, in a process that has the outside package."""
    (where / "grid.yaml").write_text(GRID.format(model=mlm_folder))
    folder = make_folder(where / "model", "ernie", "mlm", initializer_range=0.07)
    _, update = share(load_model(ModelOptions(name=folder), "mlm"), CORPUS[:2])
    rows = {name: gradient.tolist() for name, gradient in update.gradients.items()}
    (where / "update.json").write_text(json.dumps(rows))
    (where / "truth.txt").write_text("\n".join(CORPUS[:2]))
    to_picture(torch.ones(1, 12, 12)).save(where / "white.png")
    calls = [
        *(("list", kind) for kind in KINDS),
        ("attack", "-s", "the cat sat", "-s", "a dog", "--model", mlm_folder, "--attack",
         "first-words", "--defence", "flip", "--json", "run.json"),
        ("invert", "update.json", "--model", folder, "--task", "mlm", "--attack", "subspace",
         "--reference", "truth.txt", "--json", "found.json"),
        ("audit", "grid.yaml", "-o", "audit"),
        ("vision", "attack", "--image", "white.png", "--model", "lenet", "--attack", "grey",
         "--set", "brightness=1.0", "--json", "picture.json"),
    ]  # fmt: skip
    path = os.pathsep.join([str(PLUGIN), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input="\n".join("\t".join(call) for call in calls),
        env={**os.environ, "PYTHONPATH": path},
        cwd=where,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "name", ["first-words", "flip", "length_error", "ernie", "gradients as lists of numbers"]
)
def test_what_is_outside_is_listed(said: str, name: str) -> None:
    assert name in said


def test_an_outside_attack_is_listed_with_those_of_its_modality(said: str) -> None:
    text, images = said.split("defences:")[0].split("image-attacks:")
    assert "first-words" in text
    assert "first-words" not in images
    assert "grey" in images
    assert "grey" not in text


@pytest.mark.usefixtures("said")
def test_an_outside_attack_on_images_is_recorded(where: Path) -> None:
    data = json.loads((where / "picture.json").read_text())
    assert (data["attack"], data["options"]) == ("grey", {"brightness": 1.0})
    assert data["mse"] == 0.0


def test_an_outside_attack_defence_and_metric_are_recorded(said: str, where: Path) -> None:
    assert "length error, max ↓ 2.0" in said
    data = json.loads((where / "run.json").read_text())
    assert data["attack"] == "first-words"
    assert data["defences"] == ["flip"]
    each = [sequence["metrics"]["length_error"] for sequence in data["sequences"]]
    assert sorted(each) == [1.0, 2.0]  # the attack says nothing of one of them
    assert data["metrics"] == {"length_error": 2.0}
    view = {"title": "length error", "aggregate": "max", "higher_is_better": False, "format": ".1f"}
    assert data["metric_views"] == {"length_error": view}


@pytest.mark.usefixtures("said")
def test_a_report_shows_an_outside_metric_without_its_package(
    where: Path, textleak: Callable[..., Any]
) -> None:
    assert textleak("report", where / "audit", "-o", where / "report").code == 0
    page = (where / "report" / "report.html").read_text()
    assert "length error, max ↓" in page
    assert 'data-metric="length_error" data-value="2.0">2.0' in page
    assert "length_error" in (where / "report" / "summary.csv").read_text().splitlines()[0]


@pytest.mark.usefixtures("said")
def test_an_outside_family_and_reader_are_attacked(where: Path) -> None:
    data = json.loads((where / "found.json").read_text())
    assert data["family"] == "ernie"
    assert data["exact_rate"] == 1.0
    assert data["verified"]
