"""A loss of one's own: what it must be, and that engine, labels and verdict follow it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from families.folders import CORPUS, make_folder
from torch import Tensor

from tests.sharing import share
from textleak.attacks.subspace import Subspace, SubspaceOptions
from textleak.core.errors import ConfigError, UpdateError
from textleak.core.loss import LossOptions
from textleak.evidence.labels import evident_labels
from textleak.gradients import Distance, EngineMatcher, OracleMatcher, Recorder
from textleak.models import ModelOptions, TextModel, load_model
from textleak.tasks import text_task
from textleak.tasks.own_loss import alike

HERE = "tests.tasks.test_own_loss"


def focal(logits: Tensor, targets: Tensor) -> Tensor:
    """Lin et al. 2017, eq. 4, with γ = 2."""
    scores = logits.log_softmax(-1)
    return -(targets * (1 - scores.exp()).square() * scores).sum(-1)


def mixing(logits: Tensor, targets: Tensor) -> Tensor:
    return focal(logits - logits.mean(0), targets)


def summed(logits: Tensor, targets: Tensor) -> Tensor:
    return focal(logits, targets).sum()


def kinked(logits: Tensor, targets: Tensor) -> Tensor:
    return focal(logits.detach(), targets)


def load(folder: str, loss: str | None, task: str = "classification", **options: Any) -> TextModel:
    named = None if loss is None else f"{HERE}:{loss}"
    return load_model(ModelOptions(name=folder, loss=LossOptions(function=named), **options), task)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("own") / "model"
    return make_folder(path, "bert", "classification", initializer_range=0.07)


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        ("mixing", "must not depend on the others"),
        ("summed", "a finite number for each of 2 items"),
        ("kinked", "expected a twice differentiable function"),
        ("nothing", "has no function 'nothing'"),
    ],
)
def test_what_is_no_loss_is_refused(folder: str, loss: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load(folder, loss)


def test_a_module_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="no module 'nowhere', installed or here"):
        text_task("classification", LossOptions(function="nowhere:loss"))


def test_the_class_is_read_by_the_losss_own_slope() -> None:
    torch.manual_seed(0)
    logits = torch.randn(20, 4, dtype=torch.float64, requires_grad=True)
    labels = torch.arange(20) % 4
    loss = focal(logits, torch.nn.functional.one_hot(labels, 4).double()).mean()
    (slopes,) = torch.autograd.grad(loss, logits)
    assert alike(focal, logits, slopes).equal(labels)


def test_the_engine_follows_it_as_the_oracle_does(folder: str) -> None:
    model = load(folder, "focal", dtype="float64")
    private, update = share(model, CORPUS[:2], [2, 1])
    batch = private.batch
    points = model.word_table.detach()[batch.input_ids] + 0.1
    points = points.requires_grad_()

    def forward(recorder: Recorder) -> Tensor:
        states = model.family.encode(inputs_embeds=points, attention_mask=batch.attention_mask)
        return model.task.loss(model, states, batch)[None]

    slopes = []
    for make in (EngineMatcher, OracleMatcher):
        one = make(model.module, update.gradients, Distance("cosine"))
        value = one(forward, candidates=1, batch=2)
        slopes.append(torch.autograd.grad(value.sum(), points)[0])
    torch.testing.assert_close(*slopes)  # to half of the digits of double precision


def test_the_verdict_recomputes_with_it(folder: str) -> None:
    private, update = share(load(folder, "focal"), CORPUS[:2], [2, 1])
    found = Subspace(SubspaceOptions())(load(folder, "focal"), update)
    assert sorted(found.token_ids) == sorted(private.original_ids)
    assert found.verified
    assert not Subspace(SubspaceOptions())(load(folder, None), update).verified


@pytest.mark.parametrize("task", ["multi-label", "token-classification"])
def test_labels_that_no_slope_shows_are_left_as_they_are(tmp_path: Path, task: str) -> None:
    model = load(make_folder(tmp_path, "bert", task), "focal", task)
    private, update = share(model, CORPUS[:1])
    batch = private.batch
    unknown = replace(batch, labels=torch.zeros_like(batch.labels))
    found = evident_labels(model, update, unknown if task == "multi-label" else batch)
    expected = unknown if task == "multi-label" else batch  # of classes each slope shows its own
    assert found.labels.equal(expected.labels)


def test_what_is_read_by_the_tasks_own_loss_alone_is_said(tmp_path: Path) -> None:
    path = make_folder(tmp_path, "bert", "mlm")
    model = load(path, "focal", "mlm")
    _, update = share(model, CORPUS[:1])
    with pytest.raises(UpdateError, match="reads classes alone under a loss of one's own"):
        Subspace(SubspaceOptions())(model, update)
    with pytest.raises(ConfigError, match="no other loss is attacked"):
        text_task("causal", LossOptions(function=f"{HERE}:focal"))
