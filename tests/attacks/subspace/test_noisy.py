"""Batches from what two checkpoints tell, whose weights were rounded as they moved."""

from __future__ import annotations

import pytest
import torch

from tests.sharing import share
from textleak.attacks.subspace import Subspace, SubspaceOptions
from textleak.models import ModelOptions, load_model
from textleak.updates import Stored, between

SENTENCES = ["the cat sat on the mat.", "my dog barks at every stranger", "we left before noon."]


@pytest.mark.parametrize("rate", [1e-1, 1e-3])
def test_sentences_of_a_batch_come_back_from_rounded_weights(rate: float) -> None:
    model = load_model(ModelOptions(name="bert-mini"), "classification")
    private, shared = share(model, SENTENCES, [1, 0, 1])
    after = {n: p.detach() - rate * shared.gradients[n] for n, p in model.parameters.items()}
    delta = between(None, Stored("after", "after", after), model).update
    found = Subspace(SubspaceOptions())(model, delta)
    truth = {tuple(row) for row in private.batch.rows()}
    assert {tuple(row) for row in found.candidate.batch.rows()} == truth
    assert found.verified


def test_adamws_first_step_gives_its_sentence_away_without_any_state() -> None:
    model = load_model(ModelOptions(name="bert-mini"), "classification")
    private, shared = share(model, SENTENCES[2:], [1])
    copies = {n: torch.nn.Parameter(p.detach().clone()) for n, p in model.parameters.items()}
    for name, copy in copies.items():
        copy.grad = shared.gradients[name].clone()
    torch.optim.AdamW(list(copies.values()), lr=5e-5).step()
    after = {name: copy.detach() for name, copy in copies.items()}
    found = Subspace(SubspaceOptions())(
        model, between(None, Stored("after", "after", after), model).update
    )
    assert found.candidate.batch.rows() == private.batch.rows()
    assert found.verified
