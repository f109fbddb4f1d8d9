"""A model's folder is what its name promises, or is refused in one line."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from conftest import tiny_config, tiny_tokenizer
from safetensors.torch import load_file, save_file

from textleak.core.errors import ModelError
from textleak.models import ModelOptions, TextModel, load_model


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    def make(kind: str = "BertForSequenceClassification", **changes: Any) -> Path:
        torch.manual_seed(0)
        getattr(transformers, kind)(tiny_config(**changes)).save_pretrained(tmp_path)
        tiny_tokenizer().save_pretrained(tmp_path)
        return tmp_path

    return make


def load(path: Path, task: Any = "classification", **options: Any) -> TextModel:
    return load_model(ModelOptions(name=str(path), **options), task)


def rewrite(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> Path:
    """The folder with its weights as `change` makes them."""
    weights = load_file(path / "model.safetensors")
    save_file(change(weights), path / "model.safetensors", metadata={"format": "pt"})
    return path


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod."])
def test_a_wrapper_before_every_key(folder: Callable[..., Path], prefix: str) -> None:
    path = rewrite(folder(), lambda old: {prefix + name: w for name, w in old.items()})
    with pytest.raises(ModelError, match=f"lacks 21 of 21 weights .* begin with '{prefix}'"):
        load(path)


def test_half_of_the_weights(folder: Callable[..., Path]) -> None:
    path = rewrite(folder(), lambda old: {name: old[name] for name in sorted(old)[::2]})
    with pytest.raises(ModelError, match="lacks 10 of 21 weights of the model's body, as 'bert"):
        load(path)


def test_a_head_alone_is_made_anew_and_noted(folder: Callable[..., Path]) -> None:
    (note,) = load(folder("BertForMaskedLM")).notes
    assert "not in the checkpoint, initialised from seed 0: bert.pooler, classifier" in note


def test_weights_of_another_shape_or_none(folder: Callable[..., Path]) -> None:
    with pytest.raises(ModelError, match=r"'classifier.bias' of shape \(2,\), its conf.* \(9,\)"):
        load(folder(), num_labels=9)
    path = rewrite(folder(), lambda old: {**old, "classifier.bias": torch.full((2,), torch.nan)})
    with pytest.raises(ModelError, match="hold NaN or infinite values, at 'class"):
        load(path)


class _Command:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("hacked",)


def test_pickled_checkpoints(
    folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    path = folder()
    weights = load_file(path / "model.safetensors")
    (path / "model.safetensors").unlink()
    torch.save(weights, path / "pytorch_model.bin")
    assert load(path).notes == ()  # tensors alone are read
    torch.save({**weights, "x": _Command()}, path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="they are pickled, and hold more than tensors"):
        load(path)
    for content in (b"junk", pickle.dumps({"x": _Command()})):
        (path / "pytorch_model.bin").write_bytes(content)
        with pytest.raises(ModelError, match="cannot load weights"):
            load(path)
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize(
    ("kind", "changes", "match"),
    [
        (
            "BertForSequenceClassification",
            {"num_labels": 1},
            "trained by regression .it has one label.",
        ),
        (
            "BertForSequenceClassification",
            {"num_labels": 3, "problem_type": "multi_label_classification"},
            "is trained by multi_label_classification",
        ),
        (
            "BertForSequenceClassification",
            {"num_labels": 3, "problem_type": "regression"},
            "is trained by regression",
        ),
        ("BertForTokenClassification", {}, "is a BertForTokenClassification, whose loss is not"),
        ("BertForQuestionAnswering", {}, "is a BertForQuestionAnswering, whose loss is not"),
        ("BertForMultipleChoice", {}, "is a BertForMultipleChoice, whose loss is not"),
    ],
)
def test_another_loss_is_not_audited_as_single_label(
    folder: Callable[..., Path], kind: str, changes: dict[str, Any], match: str
) -> None:
    with pytest.raises(ModelError, match=match):
        load(folder(kind, **changes))


def test_a_causal_model_is_not_audited_as_masked(folder: Callable[..., Path]) -> None:
    with pytest.raises(ModelError, match="is a BertLMHeadModel, whose loss is not that of"):
        load(folder("BertLMHeadModel"), "mlm")


@pytest.mark.parametrize(
    ("kind", "task"), [("cls", "mlm"), ("sep", "classification"), ("pad", "mlm"), ("mask", "mlm")]
)
def test_a_tokenizer_without(folder: Callable[..., Path], kind: str, task: str) -> None:
    path = folder("BertForMaskedLM")
    settings = json.loads((path / "tokenizer_config.json").read_text())
    del settings[f"{kind}_token"]
    (path / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(ModelError, match=f"has no {kind} token: expected cls, sep, pad"):
        load(path, task)


@pytest.mark.parametrize("content", ["{", "[]", '{"model_type": "bert", "hidden_size": "x"}', "{}"])
def test_a_configuration_that_is_none(folder: Callable[..., Path], content: str) -> None:
    path = folder()
    (path / "config.json").write_text(content)
    with pytest.raises(ModelError, match="cannot load a model from the folder"):
        load(path)
