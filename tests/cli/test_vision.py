"""`textleak vision attack` from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from textleak.vision.pixels import to_picture

QUICK = ("--classes", 4, "--set", "iterations=2")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A gray gradient of 12 pixels a side."""
    path = tmp_path / "pictures" / "cat" / "one.png"
    path.parent.mkdir(parents=True)
    to_picture(torch.linspace(0, 1, 12).expand(1, 12, 12)).save(path)
    return path


def test_a_picture_is_attacked_shown_and_written(
    textleak: Callable[..., Any], picture: Path, tmp_path: Path
) -> None:
    done = textleak("vision", "attack", "--image", picture, "--classes", 4, "--save", "run")
    assert done.code == 0, done.err
    assert "dlg on lenet (image, random weights, sigmoid)" in done.out
    assert "verified     yes" in done.out
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["images"][0]["psnr"] > 40
    assert (tmp_path / "run" / "figure.png").stat().st_size > 500


def test_json_on_standard_output_stands_alone(textleak: Callable[..., Any], picture: Path) -> None:
    done = textleak(
        "vision", "attack", "--data", picture.parents[1], *QUICK,
        "--defence", "pruning:ratio=0.1", "--defence", "fp16", "--json", "-",
    )  # fmt: skip
    record = json.loads(done.out)
    assert record["command"] == "vision attack"
    assert record["task"] == "image"
    assert record["defences"] == ["prune:ratio=0.1,scope=tensor", "fp16"]
    assert record["threat_model"]["labels"] is False
    assert set(record["images"][0]) == {
        "reference_label", "recovered_label", "mse", "psnr", "ssim", "label_match",
        "verified", "verdict",
    }  # fmt: skip
    assert "match" in done.err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--image", "none.png"], "no picture at 'none.png'"),
        (["--index", "3"], "give one of --image FILE"),
        (["--dataset", "minst"], "did you mean 'mnist'"),
        (["--attack", "dgl"], "unknown image attack 'dgl'; did you mean 'dlg'"),
        (["--set", "restart=2"], "unknown option of dlg 'restart'; did you mean 'restarts'"),
        (["--set", "restarts=0"], "option of dlg: restarts"),
        (["--model", "lenat"], "did you mean 'lenet'"),
        (["--activation", "relu"], "unknown activation 'relu'"),
        (["--defence", "noise"], "unknown defence 'noise'"),
        (["--label", "9"], "labels must lie between 0 and 3"),
        (["--share", "none*"], "no parameter of the model matches"),
        (["--device", "tpu9"], "no device 'tpu9'"),
    ],
)
def test_what_is_wrong_is_one_line(
    textleak: Callable[..., Any], picture: Path, arguments: list[str], complaint: str
) -> None:
    given = {"--image", "--dataset", "--index"} & set(arguments)
    own = [] if given else ["--image", picture]
    done = textleak("vision", "attack", *own, *QUICK, *arguments)
    assert done.code == 2
    assert complaint in done.err
    assert done.err.count("\n") == 1
    assert done.out == ""


def test_help_lists_the_options(textleak: Callable[..., Any]) -> None:
    done = textleak("vision", "attack", "--help")
    assert done.code == 0
    for option in ("--image", "--data", "--dataset", "--index", "--batch-size", "--save"):
        assert option in done.out
