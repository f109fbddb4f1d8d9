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
IMAGES = "measure_images.py"


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


def test_images_of_a_folder_are_measured(tmp_path: Path) -> None:
    for index, shade in enumerate((40, 200)):
        picture = Image.new("L", (12, 12), shade)
        picture.putpixel((3, 4), 255 - shade)
        picture.save(tmp_path / f"{index}.png")
    command = [sys.executable, str(ROOT / "examples" / IMAGES), "--data", str(tmp_path)]
    done = subprocess.run(
        [*command, "--count", "2", "--step", "1", "--set", "iterations=2", "--until", "5"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()[:-1]]
    assert [row["pictures"] for row in rows] == [["0.png"], ["1.png"]]
    assert "of 2 pictures at 40 dB or more" in done.stdout.splitlines()[-1]


def test_every_example_is_run() -> None:
    scripts = {path.name for path in (ROOT / "examples").glob("*.py")}
    assert scripts == {*COMMANDS, IMAGES}
