"""A weight delta's known rounding explains what it leaves of the gradient, and no more."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.sharing import share
from textleak.core.batch import TokenBatch
from textleak.core.verdict import Verdict
from textleak.evidence.entry_noise import unit_in_last_place
from textleak.models import TextModel
from textleak.updates import Stored, fitted
from textleak.verdict.judge import judge

TEXT = ["the cat sat on the mat ."]


def verdict(model: TextModel, rate: float, batch: TokenBatch | None = None) -> Verdict:
    """What a delta of one step at `rate` says of its own batch, or of another."""
    private, update = share(model, TEXT, [1])
    after: dict[str, Tensor] = {
        name: weight.detach() - rate * update.gradients[name]
        for name, weight in model.parameters.items()
    }
    found = fitted(Stored("u", "checkpoint", after), model).update
    return judge(model, found, batch or private.batch)


@pytest.mark.parametrize("rate", [1e-1, 1e-2, 1e-3, 1e-4])
def test_a_delta_is_proven_at_any_usual_rate(rate: float, classifier: TextModel) -> None:
    found = verdict(classifier, rate)
    assert found.word == "proven"
    assert found.scale == pytest.approx(rate, rel=1e-2)


@pytest.mark.parametrize("rate", [1e-1, 1e-3])
def test_another_word_is_not(rate: float, classifier: TextModel) -> None:
    private, _ = share(classifier, TEXT, [1])
    ids = private.batch.input_ids.clone()
    ids[0, 2] = 8 if int(ids[0, 2]) != 8 else 9
    other = TokenBatch(ids, private.batch.attention_mask, private.batch.labels)
    assert verdict(classifier, rate, other).word == "unexplained"


def test_a_unit_in_the_last_place_is_the_step_to_the_next_number() -> None:
    sizes = torch.tensor([1e-30, 0.02, 0.75, 1.0, 3.0, 1e5])
    steps = torch.nextafter(sizes, torch.tensor(torch.inf)) - sizes
    assert torch.equal(unit_in_last_place(sizes, torch.float32), steps.double())
