"""A task's loss is transformers' own, its engine loss torch's, its labels readable from the head's gradient."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from conftest import tiny_config, tiny_tokenizer
from torch.nn import functional as F

from tests.sharing import share
from textleak.client import Client, ClientOptions
from textleak.core.errors import ConfigError, DataError, ModelError
from textleak.evidence.labels import evident_labels
from textleak.models import ModelOptions, TextModel, TokenBatch, load_model
from textleak.tasks import TEXT_TASKS, text_task
from textleak.tasks.base import LossOptions
from textleak.tasks.causal import Causal
from textleak.tasks.classification import Classification
from textleak.tasks.mlm import MaskedLM

TEXTS = ["the cat sat on the mat .", "a dog ran !"]
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "mlm": ("BertForMaskedLM", {}),
    "classification": ("BertForSequenceClassification", {"num_labels": 3}),
    "multi-label": (
        "BertForSequenceClassification",
        {"num_labels": 4, "problem_type": "multi_label_classification"},
    ),
    "regression": (
        "BertForSequenceClassification",
        {"num_labels": 2, "problem_type": "regression"},
    ),
    "token-classification": ("BertForTokenClassification", {"num_labels": 5}),
}


def folder(path: Path, kind: str, **changes: Any) -> str:
    torch.manual_seed(0)
    getattr(transformers, kind)(tiny_config(**changes)).save_pretrained(path)
    tiny_tokenizer().save_pretrained(path)
    return str(path)


@pytest.fixture(params=KINDS)
def model(request: pytest.FixtureRequest, tmp_path: Path) -> TextModel:
    kind, changes = KINDS[request.param]
    return load_model(ModelOptions(name=folder(tmp_path, kind, **changes)), request.param)


def test_every_task_but_the_decoders_is_here() -> None:
    assert set(KINDS) == set(TEXT_TASKS) - {"causal"}


def test_the_loss_is_transformers_own(model: TextModel) -> None:
    batch = Client(model, ClientOptions(seed=1)).prepare(TEXTS).batch
    theirs = model.module(
        input_ids=batch.input_ids, attention_mask=batch.attention_mask, labels=batch.labels
    ).loss
    torch.testing.assert_close(model.loss(batch), theirs)


def test_labels_are_read_off_the_heads_gradient(model: TextModel) -> None:
    if model.task.bears == "places":
        pytest.skip("masked-LM's labels stand at places that have to be found first")
    private, update = share(model, TEXTS)
    blank = TokenBatch(
        private.batch.input_ids,
        private.batch.attention_mask,
        torch.zeros_like(private.batch.labels)
        if not private.batch.by_token
        else private.batch.labels.clamp_max(0),
    )
    found = evident_labels(model, update, blank).labels
    torch.testing.assert_close(found, private.batch.labels, rtol=1e-4, atol=1e-4)


def test_soft_targets_that_are_hard_give_the_loss(model: TextModel) -> None:
    task = model.task
    batch = Client(model, ClientOptions(seed=1)).prepare(TEXTS).batch
    logits, targets = task.outputs(model, model.encode(batch), batch.attention_mask, batch.labels)
    fixed = task.fixed(targets, task.width(model)).to(logits)
    torch.testing.assert_close(task.soft_losses(logits, fixed), task.losses(logits, targets))
    assert torch.equal(task.hard(fixed), targets)


def test_cross_entropy_is_taken_as_torch_takes_it() -> None:
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 3, generator=draw)
    targets = torch.randint(3, (6,), generator=draw)
    for reduction in ("mean", "sum"):
        options = LossOptions(reduction=reduction, smoothing=0.1, weights=(1.0, 2.0, 0.5))
        found = Classification(options).candidate_losses(logits, targets, 2)
        for part, half in enumerate((slice(0, 3), slice(3, 6))):
            theirs = F.cross_entropy(
                logits[half],
                targets[half],
                weight=torch.tensor([1.0, 2.0, 0.5]),
                label_smoothing=0.1,
                reduction=reduction,
            )
            torch.testing.assert_close(found[part], theirs)
    with pytest.raises(ConfigError, match="class weights do not apply"):
        MaskedLM(LossOptions(weights=(1.0,)))


def test_the_next_token_is_the_label_and_padding_bears_none() -> None:
    ids = torch.tensor([[2, 7, 8, 3], [2, 9, 3, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    batch = Causal().relabelled(TokenBatch(ids, mask, ids))
    assert batch.labels.tolist() == [[7, 8, 3, -100], [9, 3, -100, -100]]


@pytest.mark.parametrize(
    ("task", "labels", "match"),
    [
        ("multi-label", [[0], [4]], "labels must lie between 0 and 3"),
        ("regression", [1.0, 2.0], "expected 2 numbers for each of 2 sentences"),
        ("token-classification", [[0], [1]], "sentence 1 has 7 tokens, got 1 labels"),
    ],
)
def test_labels_that_do_not_fit(tmp_path: Path, task: str, labels: Any, match: str) -> None:
    kind, changes = KINDS[task]
    model = load_model(ModelOptions(name=folder(tmp_path, kind, **changes)), task)
    with pytest.raises(DataError, match=match):
        Client(model).prepare(TEXTS, labels)


@pytest.mark.parametrize("asked", ["classification", "regression", "token-classification"])
def test_another_task_than_the_folders_is_refused(tmp_path: Path, asked: str) -> None:
    kind, changes = KINDS["multi-label"]
    with pytest.raises(ModelError, match=r"multi_label_classification|whose loss is not"):
        load_model(ModelOptions(name=folder(tmp_path, kind, **changes)), asked)


def test_an_unknown_task_is_told_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'regression'"):
        text_task("regresion")
