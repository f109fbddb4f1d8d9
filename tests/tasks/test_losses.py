"""How a loss is taken is public: attacks take theirs the same way, and read labels through it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from families.folders import CORPUS, make_folder

from tests.sharing import share
from textleak.attacks.dlg import Dlg, DlgOptions
from textleak.attacks.subspace import Subspace, SubspaceOptions
from textleak.core.errors import ConfigError, UpdateError
from textleak.core.loss import LossOptions
from textleak.models import ModelOptions, TextModel, load_model
from textleak.tasks import text_task

LOSSES = [
    LossOptions(reduction="sum"),
    LossOptions(smoothing=0.1),
    LossOptions(weights=(1.0, 3.0, 0.5)),
    LossOptions(reduction="sum", smoothing=0.2, weights=(1.0, 3.0, 0.5)),
]


def load(path: Path, task: str, loss: LossOptions) -> TextModel:
    folder = make_folder(path, "bert", task, initializer_range=0.07)
    return load_model(ModelOptions(name=folder, loss=loss), task)


@pytest.mark.parametrize("loss", LOSSES)
def test_subspace_reads_classes_through_any_loss(tmp_path: Path, loss: LossOptions) -> None:
    model = load(tmp_path, "classification", loss)
    private, update = share(model, CORPUS[:2], [1, 0])
    found = Subspace(SubspaceOptions())(model, update)
    assert sorted(found.token_ids) == sorted(private.original_ids)
    assert dict(zip(map(tuple, found.token_ids), found.labels, strict=True)) == dict(
        zip(map(tuple, private.original_ids), model.task.rows(private.batch), strict=True)
    )
    assert found.verified


@pytest.mark.parametrize("task", ["multi-label", "regression", "mlm"])
def test_subspace_reads_a_summed_loss(tmp_path: Path, task: str) -> None:
    model = load(tmp_path, task, LossOptions(reduction="sum"))
    private, update = share(model, CORPUS[:2])
    found = Subspace(SubspaceOptions())(model, update)
    assert sorted(found.token_ids) == sorted(private.original_ids)
    assert found.verified


@pytest.mark.parametrize(
    ("task", "loss"),
    [
        ("mlm", LossOptions(smoothing=0.1)),
        ("token-classification", LossOptions(smoothing=0.1, weights=(1.0, 3.0, 0.5))),
    ],
)
def test_dlg_matches_the_loss_that_was_trained(
    tmp_path: Path, task: str, loss: LossOptions
) -> None:
    model = load(tmp_path, task, loss)
    private, update = share(model, ["two dogs ran"])
    found = Dlg(DlgOptions())(model, update)
    assert found.token_ids == private.original_ids
    assert found.gradient_error < 1e-3


def test_soft_losses_are_torchs_with_soft_targets() -> None:
    draw = torch.Generator().manual_seed(0)
    logits, soft = (torch.randn(2, 5, 3, generator=draw) for _ in range(2))
    soft = soft.softmax(-1)
    for loss in LOSSES:
        task = text_task("classification", loss)
        weight = None if loss.weights is None else torch.tensor(loss.weights)
        theirs = torch.stack(
            [
                torch.nn.functional.cross_entropy(
                    part, target, weight=weight, label_smoothing=loss.smoothing, reduction="sum"
                )
                for part, target in zip(logits, soft, strict=True)
            ]
        )
        torch.testing.assert_close(task.soft_losses(logits, soft).sum(1), theirs)


def test_a_loss_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected 3 class weights, got 2"):
        load(tmp_path, "classification", LossOptions(weights=(1.0, 2.0)))
    with pytest.raises(ConfigError, match="regression has another loss than a cross-entropy"):
        text_task("regression", LossOptions(smoothing=0.1))
    model = load(tmp_path, "mlm", LossOptions(smoothing=0.1))
    _, update = share(model, CORPUS[:1])
    with pytest.raises(UpdateError, match="under label smoothing: try dlg"):
        Subspace(SubspaceOptions())(model, update)
