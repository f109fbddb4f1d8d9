"""Exact likelihoods against updates formed in full, and whether what is left of one is its noise."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from textleak.client import Client, ClientOptions, PrivateBatch
from textleak.core.batch import TokenBatch
from textleak.core.update import SharedUpdate
from textleak.defences import Defences
from textleak.likelihood.likelihoods import Likelihoods
from textleak.models import TextModel
from textleak.verdict.recompute import update_of

TEXTS = ["the cat sat on the mat .", "a dog ran !"]
STD = 1e-3


def shared(model: TextModel, seed: int = 0, std: float = STD) -> tuple[SharedUpdate, PrivateBatch]:
    defences = Defences.parse([f"gaussian:std={std}"])
    client = Client(model, ClientOptions(seed=seed), None, defences)
    private = client.prepare(TEXTS, [0, 1] if model.task.labelled else None)
    return client.share(private), private


def others(batch: TokenBatch) -> list[TokenBatch]:
    """The batch, and it with another word at each of three places."""
    found = [batch]
    for place in (1, 2, 3):
        ids = batch.input_ids.clone()
        ids[0, place] = 7 + place
        found.append(replace(batch, input_ids=ids))
    return found


def by_hand(
    model: TextModel, update: SharedUpdate, batch: TokenBatch, names: list[str] | None = None
) -> float:
    own = update_of(model, update, batch)
    nats = 0.0
    for name in names or list(own):
        g, u = own[name].double(), update.gradients[name].double()
        nats += float((u * g).sum() - g.square().sum() / 2) / STD**2
    return nats


@pytest.mark.parametrize("name", ["mlm", "classifier"])
def test_likelihoods_are_those_of_formed_updates(name: str, request: pytest.FixtureRequest) -> None:
    model: TextModel = request.getfixturevalue(name)
    update, private = shared(model)
    batches = others(private.batch)
    found = Likelihoods(model, update, STD, at_once=4)(batches)
    wanted = [by_hand(model, update, batch) for batch in batches]
    torch.testing.assert_close(found, torch.tensor(wanted).double(), rtol=1e-4, atol=1e-2)


def test_the_heads_share_is_that_of_the_parameters_behind_last_states(
    classifier: TextModel,
) -> None:
    update, private = shared(classifier)
    batches = others(private.batch)
    found = Likelihoods(classifier, update, STD).of_head(batches)
    names = [n for n in update.gradients if "pooler" in n or n.startswith("classifier")]
    wanted = [by_hand(classifier, update, batch, names) for batch in batches]
    torch.testing.assert_close(found, torch.tensor(wanted).double(), rtol=1e-4, atol=1e-2)


def test_an_unknown_factor_costs_nothing(classifier: TextModel) -> None:
    update, private = shared(classifier)
    halved = replace(update, gradients={n: g / 2 for n, g in update.gradients.items()})
    one = Likelihoods(classifier, update, STD, factor=True)([private.batch])
    half = Likelihoods(classifier, halved, STD / 2, factor=True)([private.batch])
    torch.testing.assert_close(one, half)


@pytest.mark.parametrize("std", [1e-7, 1e-5, 1e-3])
def test_what_the_truth_leaves_is_noise_and_what_another_leaves_is_not(
    classifier: TextModel, std: float
) -> None:
    """As little noise as the gradient's own rounding too, where a difference of squares tells nothing."""
    update, private = shared(classifier, std=std)
    likelihoods = Likelihoods(classifier, update, std)
    own, *wrong = [likelihoods.misfit(batch) for batch in others(private.batch)]
    assert own < 6.9  # a thousandth
    assert min(wrong) > 6.9
