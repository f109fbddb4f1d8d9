"""A stated protocol is simulated: what it explains is proven, and nothing where it is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

TEXT = "the cat sat on the mat ."
Textleak = Callable[..., Any]


def _trained(folder: str, to: Path, rate: float, steps: int) -> Path:
    """The checkpoint after local steps of SGD on one sentence."""
    module = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    optimiser = torch.optim.SGD(module.parameters(), lr=rate)
    ids = tokenizer(TEXT, return_tensors="pt")["input_ids"]
    for _ in range(steps):
        optimiser.zero_grad()
        module(input_ids=ids, labels=torch.tensor([1])).loss.backward()
        optimiser.step()
    module.save_pretrained(to)
    return to


@pytest.fixture
def invert(textleak: Textleak, classifier_folder: str, tmp_path: Path) -> Callable[..., Any]:
    def call(after: Path, *more: object) -> Any:
        task = ("--task", "classification", "-a", "subspace", "--json", "r.json")
        outcome = textleak("invert", "--before", classifier_folder, "--after", after, *task, *more)
        return json.loads((tmp_path / "r.json").read_text()) if outcome.code == 0 else outcome

    return call


def test_local_steps_are_proven_once_stated(
    invert: Callable[..., Any], classifier_folder: str, tmp_path: Path
) -> None:
    after = _trained(classifier_folder, tmp_path / "after", 0.01, 3)
    assert invert(after)["verdict"] == "unexplained"
    found = invert(after, "--protocol", "lr=0.01,steps=3")
    assert found["defences"] == ["fedavg:steps=3,rate=0.01"]
    assert [s["recovered"] for s in found["sequences"]] == [TEXT]
    assert found["verdict"] == "proven"


def test_the_same_in_yaml(
    invert: Callable[..., Any], classifier_folder: str, tmp_path: Path
) -> None:
    after = _trained(classifier_folder, tmp_path / "after", 0.01, 1)
    (tmp_path / "p.yaml").write_text("protocol: {lr: 0.01}\n")
    found = invert(after, "-c", "p.yaml")
    assert found["defences"] == ["fedavg:steps=1,rate=0.01"]
    assert found["verdict"] == "proven"


@pytest.mark.parametrize(
    ("protocol", "said"),
    [
        ("steps=2", "local steps need their learning rate: give lr"),
        (
            "lr=0.1,optimiser=sgd",
            "unknown key of --protocol 'optimiser'; did you mean 'optimizer'?",
        ),
        ("lr=0.1,optimizer=lion", "'sgd', 'adam' or 'adamw'"),
        ("momentum=0.9", "local steps need their learning rate: give lr"),
        ("lr", "--protocol: expected key=value"),
        ("lr=-1", "greater than 0"),
    ],
)
def test_a_wrong_protocol_is_one_line(
    protocol: str, said: str, invert: Callable[..., Any], classifier_folder: str
) -> None:
    outcome = invert(Path(classifier_folder), "--protocol", protocol)
    assert outcome.code == 2
    assert said in outcome.err
    assert outcome.err.count("\n") == 1
