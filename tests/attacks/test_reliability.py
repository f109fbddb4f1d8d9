"""Warnings say what makes a result unreliable; a proven recovery has none."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.sharing import PrivateBatch, share
from textleak.attacks.reliability import reliability_warnings
from textleak.core.threat_model import ThreatModel
from textleak.core.update import SharedUpdate
from textleak.defences import Defences
from textleak.models import TextModel, TokenBatch
from textleak.verdict.judge import judge

SENTENCE = "the cat broke a cup and ran on the mat ."


def shared(
    model: TextModel, *defences: str, lengths: bool = True
) -> tuple[PrivateBatch, SharedUpdate]:
    threat = ThreatModel(lengths=lengths)
    return share(model, [SENTENCE], threat_model=threat, defences=Defences.parse(defences))


def warnings(model: TextModel, update: SharedUpdate, batch: TokenBatch) -> str:
    said = reliability_warnings(model, update, batch, judge(model, update, batch))
    assert len(said) <= 7
    return "; ".join(said)


def wrong(batch: TokenBatch, places: list[int]) -> TokenBatch:
    ids = batch.input_ids.clone()
    ids[0, places] = 7 + (ids[0, places] + 1) % 10
    return replace(batch, input_ids=ids)


@pytest.mark.parametrize("task", ["mlm", "classifier"])
def test_a_proven_recovery_has_no_warning(task: str, request: pytest.FixtureRequest) -> None:
    model: TextModel = request.getfixturevalue(task)
    private, update = shared(model)
    assert warnings(model, update, private.batch) == ""


def test_what_is_not_proven_says_why(classifier: TextModel) -> None:
    private, update = shared(classifier, lengths=False)
    near = warnings(classifier, update, wrong(private.batch, [4]))
    assert "gradient not matched (relative error" in near
    assert "random words" not in near
    assert "lengths" not in near
    assert "tied" not in near
    _, update = shared(classifier)
    assert "lengths were granted" in warnings(classifier, update, wrong(private.batch, [4]))


def test_a_result_as_good_as_chance_is_told(classifier: TextModel) -> None:
    private, update = shared(classifier)
    far = wrong(private.batch, list(range(1, 11)))
    noise = {name: 100 * torch.randn_like(g) for name, g in update.gradients.items()}
    drowned = replace(update, gradients=noise)
    said = [warnings(classifier, u, far) for u in (update, drowned)]
    assert any("no better than random words" in one for one in said)


def test_zero_gradients_and_dropout_are_told(classifier: TextModel) -> None:
    private, update = shared(classifier, "dropout")
    gradients = dict(update.gradients)
    gradients["classifier.bias"] = torch.zeros(3)
    said = warnings(classifier, replace(update, gradients=gradients), private.batch)
    assert "dropout was on" in said
    assert f"1 of {len(gradients)} shared gradients are zero" in said


def test_tied_embeddings_are_told(mlm: TextModel, classifier: TextModel) -> None:
    assert mlm.family.head.tied
    assert not classifier.family.head.tied
    private, update = shared(mlm)
    assert "tied" in warnings(mlm, update, wrong(private.batch, [2]))
    _, update = shared(mlm, "withhold")
    assert "tied" not in warnings(mlm, update, wrong(private.batch, [2]))


def test_a_batch_taken_for_one_sequence_is_told(classifier: TextModel) -> None:
    unknown = ThreatModel(lengths=False, batch_size=False)
    private, update = share(classifier, [SENTENCE], threat_model=unknown)
    assert warnings(classifier, update, private.batch) == ""  # proven: nothing is assumed
    said = "taken for one sequence: neither their number nor their lengths are known"
    assert said in warnings(classifier, update, wrong(private.batch, [4]))
    _, update = shared(classifier, lengths=False)
    assert said not in warnings(classifier, update, wrong(private.batch, [4]))
