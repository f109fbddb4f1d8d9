"""`likelihood` finds text under noise, says so only where it is sure, and needs noise."""

from __future__ import annotations

import pytest

from textleak.attacks.likelihood import Likelihood, LikelihoodOptions
from textleak.client import Client, ClientOptions, PrivateBatch
from textleak.core.budget import Budget
from textleak.core.errors import UpdateError
from textleak.core.update import SharedUpdate
from textleak.defences import Defences
from textleak.models import TextModel

TEXT = "the cat sat on the mat ."


def shared(model: TextModel, *specs: str) -> tuple[SharedUpdate, PrivateBatch]:
    client = Client(model, ClientOptions(seed=0), None, Defences.parse(specs))
    private = client.prepare([TEXT], [1])
    return client.share(private), private


def test_a_sentence_under_noise_comes_back_proven(classifier: TextModel) -> None:
    update, private = shared(classifier, "gaussian:std=1e-4")
    found = Likelihood(LikelihoodOptions())(classifier, update)
    assert found.token_ids == private.batch.rows()
    assert found.verdict.word == "proven"


def test_what_noise_drowns_is_never_proven(classifier: TextModel) -> None:
    update, _ = shared(classifier, "gaussian:std=10")
    found = Likelihood(LikelihoodOptions(sweeps=1))(classifier, update)
    assert found.verdict.word == "consistent"


def test_an_update_without_noise_is_refused(classifier: TextModel) -> None:
    update, _ = shared(classifier)
    with pytest.raises(UpdateError, match="no noise that is stated or seen"):
        Likelihood(LikelihoodOptions())(classifier, update)


def test_the_best_so_far_comes_back(classifier: TextModel) -> None:
    update, _ = shared(classifier, "gaussian:std=1")
    found = Likelihood(LikelihoodOptions())(classifier, update, budget=Budget(evaluations=1))
    assert found.stopped == "budget"
    assert len(found.token_ids) == 1
