"""Losses and labels on the command line: one run, and an update that is captured and inverted."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from families.folders import CORPUS, make_folder

Textleak = Callable[..., Any]


def labelled(path: Path, labels: Sequence[object]) -> str:
    lines = [
        json.dumps({"text": text, "label": label})
        for text, label in zip(CORPUS, labels, strict=False)
    ]
    path.write_text("\n".join(lines))
    return str(path)


@pytest.mark.parametrize(
    ("task", "labels", "loss"),
    [
        (
            "classification",
            [1, 0],
            ["--loss-reduction=sum", "--label-smoothing=0.1", "--class-weights=1,2,0.5"],
        ),
        ("multi-label", [[0, 2], [1]], ["--loss-reduction=sum"]),
        ("regression", [[0.5, -1.0, 2.0], [1, 0, 3.5]], ["--loss-reduction=sum"]),
    ],
)
def test_a_loss_goes_with_the_update(
    tmp_path: Path,
    textleak: Textleak,
    task: str,
    labels: Sequence[object],
    loss: list[str],
) -> None:
    folder = make_folder(tmp_path / "model", "bert", task, initializer_range=0.07)
    texts = labelled(tmp_path / "texts.jsonl", labels)
    shared, record = str(tmp_path / "shared.safetensors"), tmp_path / "record.json"
    common = ["--file", texts, "--model", folder, "--task", task, *loss]
    assert textleak("capture", "-o", shared, *common).code == 0
    last = ["--attack", "subspace", "--json", str(record), "--quiet"]
    assert textleak("invert", shared, "--model", folder, "--reference", texts, *last).code == 0
    assert json.loads(record.read_text())["exact_rate"] == 1
    assert json.loads(record.read_text())["loss"]["reduction"] == "sum"
    assert textleak("attack", *common, *last).code == 0
    assert json.loads(record.read_text())["exact_rate"] == 1
    assert json.loads(record.read_text())["verified"]


@pytest.mark.parametrize(
    ("arguments", "label", "match"),
    [
        (
            ["--task=classification", "--class-weights=1,x"],
            0,
            "--class-weights: input should be a valid number",
        ),
        (["--task=classification", "--class-weights=1,2"], 0, "expected 3 class weights, got 2"),
        (["--task=classification", "--label-smoothing=1"], 0, "--label-smoothing: "),
        (["--task=mlm", "--class-weights=1,2,3"], 0, "class weights do not apply"),
        (["--task=multi-label"], "x", "texts.jsonl:1: expected a list of whole numbers"),
        (["--task=regression"], "x", "texts.jsonl:1: expected a number or a list of them"),
        (["--task=token-classification"], 1, "texts.jsonl:1: expected a list of whole numbers"),
    ],
)
def test_what_does_not_fit_is_one_line(
    tmp_path: Path,
    textleak: Textleak,
    arguments: list[str],
    label: object,
    match: str,
) -> None:
    task = arguments[0].removeprefix("--task=")
    folder = make_folder(tmp_path / "model", "bert", task)
    texts = labelled(tmp_path / "texts.jsonl", [label])
    outcome = textleak("attack", "--file", texts, "--model", folder, *arguments)
    assert outcome.code == 2
    assert match in outcome.err
    assert outcome.err.count("\n") == 1


def test_defense_is_an_alias(textleak: Textleak, tmp_path: Path) -> None:
    arguments = ["capture", "-o", str(tmp_path / "a.safetensors"), "-s", "a", "--defense", "nose"]
    outcome = textleak(*arguments)
    assert outcome.code == 2
    assert "unknown defence 'nose'" in outcome.err


FOCAL = """\
def focal(logits, targets):
    scores = logits.log_softmax(-1)
    return -(targets * (1 - scores.exp()).square() * scores).sum(-1)
"""


def test_a_loss_of_ones_own_is_recorded_and_never_taken_from_a_file(
    tmp_path: Path, textleak: Textleak, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_losses.py").write_text(FOCAL)
    folder = make_folder(tmp_path / "model", "bert", "classification", initializer_range=0.07)
    texts = labelled(tmp_path / "texts.jsonl", [1, 0])
    own = ["--model", folder, "--loss", "my_losses:focal"]
    made = ("--file", texts, "--task", "classification", "-o", "u.safetensors")
    assert textleak("capture", *made, *own).code == 0
    last = ("--attack", "subspace", "--reference", texts, "--json", "r.json", "--quiet")
    refused = textleak("invert", "u.safetensors", "--model", folder, *last)
    assert refused.code == 2
    assert "if you mean it, give --loss my_losses:focal" in refused.err
    assert textleak("invert", "u.safetensors", *own, *last).code == 0
    record = json.loads((tmp_path / "r.json").read_text())
    assert record["exact_rate"] == 1
    assert record["verified"]
    assert record["loss"]["function"] == "my_losses:focal"
