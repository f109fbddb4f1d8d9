"""The examples run as their first lines say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMANDS = {
    "ablation.py": ["--count", "1", "--seconds", "0.5", "--only", "dlg-paper"],
    "activations.py": ["--count", "1", "--iterations", "1"],
}


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


def test_every_example_is_run() -> None:
    assert {path.name for path in (ROOT / "examples").glob("*.py")} == set(COMMANDS)
