"""`textleak invert` on what training saves: other formats, wrapped names, two checkpoints."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForSequenceClassification, AutoTokenizer

TEXT = "the cat sat on the mat ."
Textleak = Callable[..., Any]


@pytest.fixture
def gradients(classifier_folder: str) -> dict[str, Tensor]:
    """The gradient of a plain training step, as a user's own script has it."""
    module, loss = _step(classifier_folder)
    loss.backward()
    return {name: p.grad for name, p in module.named_parameters() if p.grad is not None}


def _step(folder: str) -> tuple[torch.nn.Module, Tensor]:
    module = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    ids = AutoTokenizer.from_pretrained(folder)(TEXT, return_tensors="pt")["input_ids"]
    return module, module(input_ids=ids, labels=torch.tensor([1])).loss


@pytest.fixture
def invert(textleak: Textleak, classifier_folder: str, tmp_path: Path) -> Callable[..., Any]:
    def call(*given: object, model: bool = True) -> Any:
        which = ("-m", classifier_folder) if model else ()
        how = ("--task", "classification", "-a", "subspace", "--json", "r.json")
        outcome = textleak("invert", *given, *which, *how)
        found = json.loads((tmp_path / "r.json").read_text()) if outcome.code == 0 else None
        return outcome, found

    return call


def proven(found: dict[str, Any]) -> bool:
    return bool(found["verdict"] == "proven" and found["sequences"][0]["recovered"] == TEXT)


SAVED: dict[str, Callable[[dict[str, Tensor], Path], Any]] = {
    "u.npz": lambda g, path: np.savez(path, **{n: t.numpy() for n, t in g.items()}),
    "list.npz": lambda g, path: np.savez(path, *[t.numpy() for t in g.values()]),
    "u.pt": lambda g, path: torch.save({"gradients": g}, path),
    "list.pt": lambda g, path: torch.save(list(g.values()), path),
    "ddp.pt": lambda g, path: torch.save({f"module.{n}": t for n, t in g.items()}, path),
    "u.safetensors": lambda g, path: save_file({f"_orig_mod.{n}": t for n, t in g.items()}, path),
}


@pytest.mark.parametrize("name", SAVED)
def test_a_gradient_in_any_container_is_proven(
    name: str, gradients: dict[str, Tensor], invert: Callable[..., Any], tmp_path: Path
) -> None:
    SAVED[name](gradients, tmp_path / name)
    _, found = invert(tmp_path / name)
    assert proven(found)
    assert found["update"]["kind"] == "gradient"


def test_what_was_mapped_is_said(
    gradients: dict[str, Tensor], invert: Callable[..., Any], tmp_path: Path
) -> None:
    SAVED["ddp.pt"](gradients, tmp_path / "u.pt")
    outcome, found = invert(tmp_path / "u.pt")
    line = "names: 25 of 25 tensors mapped; module. taken off"
    assert line in outcome.out.splitlines()
    assert found["update"]["notes"] == [line]


@pytest.fixture
def after(classifier_folder: str, tmp_path: Path) -> Path:
    """The checkpoint after a step of SGD."""
    module, loss = _step(classifier_folder)
    loss.backward()
    torch.optim.SGD(module.parameters(), lr=0.1).step()
    module.save_pretrained(tmp_path / "after")  # type: ignore[operator]
    return tmp_path / "after"


def test_two_checkpoints_are_an_update(
    after: Path, invert: Callable[..., Any], classifier_folder: str
) -> None:
    _, found = invert("--before", classifier_folder, "--after", after, model=False)
    assert proven(found)
    assert found["update"]["kind"] == "weight delta"
    assert found["scale"] == pytest.approx(0.1, rel=1e-3)
    assert found["model"] == classifier_folder


def test_a_checkpoint_alone_is_held_against_the_model(
    after: Path, invert: Callable[..., Any]
) -> None:
    outcome, found = invert(after)
    assert proven(found)
    assert "holds weights: the update is the model's less these" in outcome.out
    assert proven(invert("--after", after / "model.safetensors")[1])


def test_weights_as_a_flower_client_sends_them(
    after: Path, invert: Callable[..., Any], tmp_path: Path
) -> None:
    weights = load_file(after / "model.safetensors")
    module = AutoModelForSequenceClassification.from_pretrained(after)
    np.savez(tmp_path / "round.npz", *[weights[name].numpy() for name in module.state_dict()])
    assert proven(invert(tmp_path / "round.npz")[1])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((), "expected an update, or --before A --after B"),
        (("u.pt", "--after", "after"), "give an update, or --before and --after, not both"),
        (("--before", "after"), "expected an update, or --before A --after B"),
        (("--before", "gone", "--after", "after"), "no update at 'gone'"),
        (("--before", "after", "--after", "after"), "the weights before are not the model's"),
    ],
)
def test_wrong_files_are_one_line(
    given: tuple[str, ...], said: str, after: Path, invert: Callable[..., Any], tmp_path: Path
) -> None:
    shutil.copy(after / "model.safetensors", tmp_path / "u.pt")
    outcome, _ = invert(*given)
    assert outcome.code == 2
    assert said in outcome.err
    assert outcome.err.count("\n") == 1
