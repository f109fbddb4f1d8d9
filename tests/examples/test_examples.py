"""The examples run as their first lines say."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from families.folders import CORPUS, make_folder
from PIL import Image

from textleak.models import TextModel

ROOT = Path(__file__).parents[2]
COMMANDS = {
    "ablation.py": ["--count", "1", "--seconds", "0.5", "--only", "dlg-paper"],
    "activations.py": ["--count", "1", "--iterations", "1"],
    "defences.py": ["--attack", "subspace", "--defence", "none", "--defence", "clip+fp16"],
}
IMAGES = ("measure_images.py", "image_defences.py")
UTILITY = "utility.py"
KILL = "kill_and_resume.py"
VERDICTS = "measure_verdicts.py"
DECODERS = "measure_decoders.py"
ADAPTERS = "measure_adapters.py"
ROOMS = "rooms.py"
MARGINS = "measure_margins.py"
UPDATES = "measure_updates.py"
FAMILIES = "measure_families.py"
NOISE = "measure_noise.py"
POSTERIOR = "measure_posterior.py"


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


def run(script: str, *arguments: object) -> list[str]:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / script), *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


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
    return run(script, "--data", folder, "--step", "1", "--set", "iterations=2", *options)


def test_images_of_a_folder_are_measured(pictures: Path) -> None:
    *printed, summary = of_images("measure_images.py", pictures, "--count", "2", "--until", "5")
    rows = [json.loads(line) for line in printed]
    assert [row["pictures"] for row in rows] == [["0.png"], ["1.png"]]
    assert "of 2 pictures at 40 dB or more" in summary


def test_defences_of_images_are_a_row_each(pictures: Path) -> None:
    given = ["--count", "1", "--defence", "none", "--defence", "int8"]
    lines = of_images("image_defences.py", pictures, *given)
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| none", "| int8"]


def test_accuracy_is_set_beside_leakage(tmp_path: Path, classifier_folder: str) -> None:
    lines = [
        {"text": f"the {word} sat .", "label": label}
        for word, label in [("cat", 0), ("dog", 2)] * 3
    ]
    (tmp_path / "l.jsonl").write_text("\n".join(map(json.dumps, lines)))
    short = ["--steps", 2, "--attacked", 1, "--defence", "none", "--defence", "clip+fp16"]
    out = run(
        UTILITY,
        tmp_path / "l.jsonl",
        "--model",
        classifier_folder,
        *short,
        "--plot",
        tmp_path / "t.svg",
    )
    assert out[0] == "| defence | accuracy | token match |"
    assert out[-1].startswith("| clip+fp16 | ")
    assert (tmp_path / "t.svg").exists()
    for shade in (40, 90, 140, 200):
        folder = tmp_path / "pictures" / str(shade % 4 // 2)
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("L", (12, 12), shade).save(folder / f"{shade}.png")
    out = run(UTILITY, tmp_path / "pictures", "--model", "mlp", *short, "--attack", "analytic")
    assert out[0] == "| defence | accuracy | SSIM |"


def test_an_audit_is_compared_with_itself(tmp_path: Path) -> None:
    """Without a kill, to be quick; `tests/grid` kills one."""
    (tmp_path / "lines.txt").write_text("the cat sat on the mat .\n")
    kept = ("--folder", tmp_path / "kept")
    short = ("--kills", 0, "--defences", "none", "--workers", 1)
    out = run(KILL, tmp_path / "lines.txt", *short, *kept)
    assert " 0 failed | — | 6 | 0 | — |" in out[-1]


def test_wrong_batches_are_not_called_proven(mlm: TextModel) -> None:
    """One cell; the whole table takes an hour."""
    script = runpy.run_path(str(ROOT / "examples" / VERDICTS))
    cell = script["Cell"]("a name that nothing loads", "mlm", words=4, sequences=2, wrongs=8)
    tally = script["measure"](mlm, cell, 0)
    assert (tally.true, tally.wrong) == (1, 8)
    assert tally.true_proven == 1
    assert tally.wrong_proven == 0


def test_every_example_is_run() -> None:
    scripts = {path.name for path in (ROOT / "examples").glob("*.py")}
    assert scripts == {
        *COMMANDS,
        *IMAGES,
        UTILITY,
        KILL,
        VERDICTS,
        DECODERS,
        ADAPTERS,
        ROOMS,
        MARGINS,
        UPDATES,
        FAMILIES,
        NOISE,
        POSTERIOR,
    }


def test_margins_fall_with_the_noise(tmp_path: Path, mlm_folder: str) -> None:
    (tmp_path / "lines.txt").write_text("the cat sat on the mat .\na dog ran !\n")
    settings = ["--model", mlm_folder, "--task", "mlm", "--batch-size", 2]
    out = run(MARGINS, tmp_path / "lines.txt", *settings)
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in out[3:-1]]
    assert [row[0] for row in rows] == [f"{10 ** (power / 2):.2g}" for power in range(-10, 1)]
    least = [float(row[3]) for row in rows]
    assert least[0] == pytest.approx(1e10 * least[-1], rel=1e-2)  # three digits are shown
    assert all((row[1] == "1.00") == (nats > 5) for row, nats in zip(rows, least, strict=True))
    assert out[-1].startswith("5 nats at σ = ")


def test_decoders_are_measured_line_by_line(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, "llama", "causal")
    (tmp_path / "lines.txt").write_text("\n".join(CORPUS[:4]))
    settings = ["--batch", "2", "--batches", "1", "--defence", "none", "--defence", "bf16"]
    out = run(DECODERS, tmp_path / "lines.txt", "--model", folder, *settings)
    assert [line.split(" | ")[2] for line in out[2:]] == ["none", "bf16"]
    assert out[2].split(" | ")[5:8] == ["2/2", "1", "0"]


def test_adapters_are_measured_line_by_line(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    (tmp_path / "lines.txt").write_text("the old ferry leaves at noon\na map shows hills\n")
    settings = ["--model", "llama-mini", "--targets", "q_proj+v_proj", "--words", "--rank", "4"]
    out = run(ADAPTERS, tmp_path / "lines.txt", *settings, "--count", "2", "--adapter-steps", "1")
    assert out[2].split(" | ")[:5] == ["| r=4 none dropout=0", "1", "2", "12/12", "0"]


def test_the_rooms_are_drawn_as_they_import() -> None:
    example = runpy.run_path(str(ROOT / "examples" / ROOMS))
    drawn = example["arrows"](example["rooms"]())
    assert drawn["core"] == set()
    assert "audit" in drawn["grid"]
    assert "core" not in drawn["grid"]  # it follows
    shown = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    lacking = [room for room in drawn if f"| `{room}` |" not in shown]
    assert not lacking


def test_updates_of_many_kinds_are_read() -> None:
    given = ("--model", "bert-tiny", "--attack", "subspace", "--only", "prefix: module.")
    lines = [line for line in run(UPDATES, *given) if line.startswith("prefix: module.")]
    assert lines
    assert all("proven" in line for line in lines)


def test_a_family_comes_back_under_a_task(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("two dogs ran after one cat\nrain fell on the roof\n")
    one = ["--family", "distilbert", "--task", "classification", "--batch", 2, "--updates", 1]
    out = run(FAMILIES, tmp_path / "lines.txt", *one, "--width", 64)
    assert out[-1].startswith("| distilbert | classification | subspace | 2 | 2/2 | 1/1 |")


def test_what_noise_hides_is_measured(tmp_path: Path, classifier_folder: str) -> None:
    (tmp_path / "lines.jsonl").write_text('{"text": "the cat sat on the mat .", "label": 1}\n')
    model = ["--model", classifier_folder]
    noise = ["--defence", "gaussian:std=1e-6", "--count", 1, "--seconds", 1]
    *lines, mean, verdict = run(NOISE, tmp_path / "lines.jsonl", *model, *noise)
    assert len(lines) == 1
    assert mean.startswith("gaussian:std=1e-6: token match ")
    assert verdict.split(": ")[0] in ("proven", "consistent", "unexplained")
    out = run(POSTERIOR, tmp_path / "lines.jsonl", *model, "--draws", 1, "--std", "1e-6")
    assert out[-1].startswith("| 1e-06 | 1 | 0 | ")
