"""Adapters on the command line: from a client to a file and back, whatever the file calls its tensors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from families.folders import CORPUS, make_folder
from safetensors import safe_open
from safetensors.torch import save_file

pytest.importorskip("peft")
Textleak = Callable[..., Any]
ADAPTER = ("--adapter", "lora:rank=2,targets=q_proj+v_proj", "--adapter-steps", "2")
pytestmark = pytest.mark.usefixtures("fake")


@pytest.fixture
def model(tmp_path: Path) -> str:
    return make_folder(tmp_path / "model", "llama", "causal")


def as_peft_names(path: str) -> None:
    """Write the tensors at `path` under the names that peft gives them in a file."""
    with safe_open(path, framework="pt") as file:
        header, tensors = file.metadata(), {n: file.get_tensor(n) for n in file.keys()}  # noqa: SIM118
    renamed = {f"base_model.model.{n.replace('.default', '')}": t for n, t in tensors.items()}
    save_file(renamed, path, metadata=header)


def test_an_update_of_an_adapter_is_captured_and_inverted(textleak: Textleak, model: str) -> None:
    outcome = textleak("capture", "-m", model, "-s", CORPUS[0], "-o", "u.safetensors", *ADAPTER)
    assert outcome.code == 0
    assert "8 gradients" in outcome.out
    as_peft_names("u.safetensors")
    outcome = textleak(
        "invert", "u.safetensors", "-m", model, "-a", "fake", "--json", "r.json", "-q"
    )
    assert outcome.code == 0
    record = json.loads(Path("r.json").read_text())
    assert record["adapter"] == ADAPTER[1]
    assert record["adapter_steps"] == 2
    assert "after 2 public steps" in " ".join(outcome.out.split())


def test_one_parameter_of_two_names_and_numbers_is_refused(textleak: Textleak, model: str) -> None:
    assert textleak("capture", "-m", model, "-s", "a", "-o", "u.safetensors", *ADAPTER).code == 0
    with safe_open("u.safetensors", framework="pt") as file:
        header, tensors = file.metadata(), {n: file.get_tensor(n) for n in file.keys()}  # noqa: SIM118
    name = next(iter(tensors))
    tensors[name.replace(".default", "")] = tensors[name] + 1
    save_file(tensors, "u.safetensors", metadata=header)
    outcome = textleak("invert", "u.safetensors", "-m", model, "-a", "fake", "-q")
    assert outcome.code == 2
    assert "with other numbers, which are one tensor of the model" in outcome.err


def test_a_file_does_not_choose_an_adapter_from_disk(textleak: Textleak, model: str) -> None:
    from textleak.core.update import SharedUpdate

    assert textleak("capture", "-m", model, "-s", "a", "-o", "u.safetensors", *ADAPTER).code == 0
    update = SharedUpdate.load("u.safetensors")
    assert update.metadata.model is not None
    recipe = update.metadata.model.model_copy(update={"adapter": model})
    told = update.metadata.model_copy(update={"model": recipe})
    SharedUpdate(update.gradients, told).save("u.safetensors")
    outcome = textleak("invert", "u.safetensors", "-m", model, "-a", "fake", "-q")
    assert outcome.code == 2
    assert "if you mean it, give --adapter" in outcome.err


def test_bad_adapters_are_one_line(textleak: Textleak, model: str) -> None:
    outcome = textleak("attack", "-m", model, "-s", "a", "-a", "fake", "--adapter", "lora:rnak=2")
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert "did you mean 'rank'" in outcome.err
