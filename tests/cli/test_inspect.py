"""`textleak inspect` says what a file holds and gives away, and attacks nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

Textleak = Callable[..., Any]
TEXT = "the cat sat on the mat ."  # six different words, and the frame


@pytest.fixture
def plain(textleak: Textleak, classifier_folder: str, tmp_path: Path) -> Path:
    """A classifier's update without a header, its names wrapped."""
    task = ("-m", classifier_folder, "--task", "classification")
    assert textleak("capture", "-s", TEXT, *task, "-o", "u.safetensors").code == 0
    tensors = load_file(tmp_path / "u.safetensors")
    del tensors["bert.pooler.dense.bias"]
    save_file({f"module.{n}": t for n, t in tensors.items()}, tmp_path / "plain.safetensors")
    return tmp_path / "plain.safetensors"


def test_a_file_alone(plain: Path, textleak: Textleak) -> None:
    outcome = textleak("inspect", plain)
    numbers = sum(tensor.numel() for tensor in load_file(plain).values())
    assert outcome.code == 0
    assert outcome.out.splitlines() == [
        f"{plain}: safetensors, 24 tensors, {numbers:,} numbers (float32)",
        "  missing: the model: give --model",
        "  missing: the task: give --task",
        "  missing: the batch size and lengths: give --lengths to dlg and its like; subspace finds them",
    ]


def test_with_a_model_it_says_what_it_gives_away(
    plain: Path, textleak: Textleak, classifier_folder: str, tmp_path: Path
) -> None:
    model = ("-m", classifier_folder, "--task", "classification")
    outcome = textleak("inspect", plain, *model, "--json", "r.json")
    said = [line.strip() for line in outcome.out.splitlines()]
    assert "holds: gradient" in said
    assert "names: 24 of 24 tensors mapped; module. taken off" in said
    assert "could: words: 8 rows of the table moved, those of the batch" in said
    assert "could: lengths: 9 places were used, the longest sequence's" in said
    assert "missing: 1 of 25 parameters (first: bert.pooler.dense.bias)" in said
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["schema"] == 2
    assert found["command"] == "inspect"
    assert found["kind"] == "gradient"
    assert found["tensors"] == 24
    alone = json.loads(textleak("inspect", plain, *model, "--json", "-").out)
    assert alone == found


def test_a_header_is_shown(textleak: Textleak, mlm_folder: str, plain: Path) -> None:
    assert textleak("capture", "-s", TEXT, "-m", mlm_folder, "-o", "m.safetensors").code == 0
    outcome = textleak("inspect", "m.safetensors", "-m", mlm_folder)
    assert "header: lengths [9]" in outcome.out
    assert "words: blurred by the decoder" in outcome.out
    assert "missing" not in outcome.out


def test_an_optimisers_state(textleak: Textleak, mlm_folder: str, tmp_path: Path) -> None:
    weights = [torch.nn.Parameter(torch.ones(2)) for _ in range(2)]
    optimiser = torch.optim.AdamW(weights)
    for one in weights:
        one.grad = torch.ones(2)
    optimiser.step()
    torch.save(optimiser.state_dict(), tmp_path / "optimizer.pt")
    assert "optimiser's state, 2 tensors, 4 numbers" in textleak("inspect", "optimizer.pt").out
    outcome = textleak("inspect", "optimizer.pt", "-m", mlm_folder)
    assert outcome.code == 2
    assert "in no order that is known" in outcome.err
    assert outcome.err.count("\n") == 1
