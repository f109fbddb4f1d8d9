"""What an outside package adds by entry points appears in lists, in the JSON, on the screen and in the report."""

import json
import os
import subprocess
import sys
from pathlib import Path

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
GRID = """\
texts: [the cat sat]
models: {model}
attacks: first-words
defences: [flip]
"""


def test_an_outside_attack_defence_and_metric_appear(mlm_folder: str, tmp_path: Path) -> None:
    record, out = tmp_path / "run.json", tmp_path / "audit"
    grid = tmp_path / "grid.yaml"
    grid.write_text(GRID.format(model=mlm_folder))
    calls = [
        ("list", "attacks"),
        ("list", "defences"),
        ("list", "metrics"),
        ("attack", "-s", "the cat sat", "--model", mlm_folder, "--attack", "first-words",
         "--defence", "flip", "--json", str(record)),
        ("audit", str(grid), "-o", str(out)),
        ("report", str(out), "-o", str(out)),
    ]  # fmt: skip
    where = os.pathsep.join([str(PLUGIN), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input="\n".join("\t".join(call) for call in calls),
        env={**os.environ, "PYTHONPATH": where},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for name in ("first-words", "flip", "length_error"):
        assert name in done.stdout
    said = json.loads(record.read_text())
    assert said["attack"] == "first-words"
    assert said["defences"] == ["flip"]
    assert said["metrics"] == {"length_error": 1.0}
    assert said["sequences"][0]["metrics"] == {"length_error": 1.0}
    page = (out / "report.html").read_text()
    assert "length error" in page
    assert 'data-metric="length_error" data-value="1.0"' in page
    assert "length_error" in (out / "summary.csv").read_text().splitlines()[0]
