"""The examples run as their first lines say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
COMMANDS = {
    "ablation.py": ["--count", "1", "--seconds", "0.5", "--only", "dlg-paper"],
    "activations.py": ["--count", "1", "--iterations", "1"],
    "defences.py": ["--attack", "subspace", "--defence", "none", "--defence", "clip+fp16"],
}
IMAGES = ("measure_images.py", "image_defences.py")


@pytest.mark.parametrize("script", COMMANDS)
def test_example_prints_a_table(script: str, tmp_path: Path, mlm_folder: str) -> None:
    lines = tmp_path / "lines.txt"
    lines.write_text("the cat sat on the mat .\n")
    command = [sys.executable, str(ROOT / "examples" / script), str(lines), "--model", mlm_folder]
    done = subprocess.run(
        [*command, *COMMANDS[script], "--threads", "1"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith("| ")
    assert len(done.stdout.splitlines()) >= 3


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of two pictures."""
    for index, shade in enumerate((40, 200)):
        picture = Image.new("L", (12, 12), shade)
        picture.putpixel((3, 4), 255 - shade)
        picture.save(tmp_path / f"{index}.png")
    return tmp_path


def of_images(script: str, folder: Path, *options: str) -> list[str]:
    """The lines that a script on pictures prints."""
    command = [sys.executable, str(ROOT / "examples" / script), "--data", str(folder)]
    done = subprocess.run(
        [*command, "--step", "1", "--set", "iterations=2", *options],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_images_of_a_folder_are_measured(pictures: Path) -> None:
    *printed, summary = of_images("measure_images.py", pictures, "--count", "2", "--until", "5")
    rows = [json.loads(line) for line in printed]
    assert [row["pictures"] for row in rows] == [["0.png"], ["1.png"]]
    assert "of 2 pictures at 40 dB or more" in summary


def test_defences_of_images_are_a_row_each(pictures: Path) -> None:
    given = ["--count", "1", "--defence", "none", "--defence", "int8"]
    lines = of_images("image_defences.py", pictures, *given)
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| none", "| int8"]


def test_every_example_is_run() -> None:
    scripts = {path.name for path in (ROOT / "examples").glob("*.py")}
    assert scripts == {*COMMANDS, *IMAGES}
