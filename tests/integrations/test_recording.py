"""What real training recorded is read and proven: a plain loop's, Trainer's, Opacus's names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from textleak.core.errors import UpdateError
from textleak.integrations import record, recording_callback, save_gradients

TEXT = "the cat sat on the mat ."
Textleak = Callable[..., Any]


def module_of(folder: str) -> Any:
    """The tiny classifier, without dropout."""
    return AutoModelForSequenceClassification.from_pretrained(
        folder, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )


def example(folder: str) -> dict[str, Tensor]:
    ids = AutoTokenizer.from_pretrained(folder)(TEXT, return_tensors="pt")["input_ids"]
    return {"input_ids": ids, "labels": torch.tensor([1])}


@pytest.fixture
def invert(textleak: Textleak, classifier_folder: str, tmp_path: Path) -> Callable[..., Any]:
    def call(path: Path) -> Any:
        model = ("-m", classifier_folder, "--task", "classification", "-a", "subspace")
        assert textleak("invert", path, *model, "--json", "r.json").code == 0
        found = json.loads((tmp_path / "r.json").read_text())
        assert found["verdict"] == "proven"
        return found["sequences"][0]["recovered"]

    return call


@pytest.mark.parametrize("wrap", [lambda m: m, nn.DataParallel], ids=["bare", "DataParallel"])
def test_a_plain_loop(
    wrap: Any, invert: Callable[..., Any], classifier_folder: str, tmp_path: Path
) -> None:
    model = module_of(classifier_folder)
    wrapped = wrap(model)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
    with record(wrapped, tmp_path / "u.safetensors"):
        model(**example(classifier_folder)).loss.backward()
        save_gradients(wrapped, tmp_path / "g.safetensors")
        optimiser.step()
    assert invert(tmp_path / "u.safetensors") == TEXT
    assert invert(tmp_path / "g.safetensors") == TEXT


def test_nothing_to_record_is_said(classifier_folder: str, tmp_path: Path) -> None:
    model = module_of(classifier_folder)
    with pytest.raises(UpdateError, match="no weight moved"), record(model, tmp_path / "u"):
        pass
    with pytest.raises(UpdateError, match="no parameter has a gradient"):
        save_gradients(model, tmp_path / "u")
    assert not (tmp_path / "u").exists()


@pytest.mark.filterwarnings("ignore")
def test_trainer(invert: Callable[..., Any], classifier_folder: str, tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    from transformers import Trainer, TrainingArguments

    batch = example(classifier_folder)
    row = {"input_ids": batch["input_ids"][0], "labels": 1}
    arguments = TrainingArguments(
        output_dir=str(tmp_path / "out"),
        per_device_train_batch_size=1,
        max_steps=1,
        save_strategy="steps",
        save_steps=1,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    Trainer(
        model=module_of(classifier_folder),
        args=arguments,
        train_dataset=[row],  # type: ignore[arg-type]
        callbacks=[recording_callback(tmp_path / "updates")],
    ).train()
    assert invert(tmp_path / "updates" / "step-1.safetensors") == TEXT
    assert invert(tmp_path / "out" / "checkpoint-1" / "optimizer.pt") == TEXT


@pytest.mark.filterwarnings("ignore")
def test_opacus_names(invert: Callable[..., Any], classifier_folder: str, tmp_path: Path) -> None:
    opacus = pytest.importorskip("opacus")
    wrapped = opacus.GradSampleModule(module_of(classifier_folder).train(), strict=False)
    wrapped(**example(classifier_folder)).loss.backward()
    save_gradients(wrapped, tmp_path / "g.safetensors")
    assert invert(tmp_path / "g.safetensors") == TEXT
