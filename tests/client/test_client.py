from __future__ import annotations

import pytest
import torch

from textleak.client import Client, ClientOptions
from textleak.core.errors import ConfigError, DataError
from textleak.core.threat_model import ThreatModel
from textleak.models import TextModel

TEXTS = ["the cat sat on the mat .", "a dog ran !"]


def test_the_update_is_the_gradient_of_the_loss(mlm: TextModel) -> None:
    client = Client(mlm)
    private = client.prepare(TEXTS)
    update = client.share(private)
    mlm.module.zero_grad()
    mlm.loss(private.batch).backward()
    for name, parameter in mlm.parameters.items():
        expected = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        torch.testing.assert_close(update.gradients[name], expected)
    mlm.module.zero_grad()


def test_the_loss_is_the_models_own(mlm: TextModel, classifier: TextModel) -> None:
    for model in (mlm, classifier):
        batch = Client(model).prepare(TEXTS).batch
        theirs = model.module(
            input_ids=batch.input_ids, attention_mask=batch.attention_mask, labels=batch.labels
        ).loss
        torch.testing.assert_close(model.loss(batch), theirs)


def test_the_same_seed_gives_the_same_update(mlm: TextModel) -> None:
    def update(seed: int, dropout: bool = False) -> torch.Tensor:
        client = Client(mlm, ClientOptions(seed=seed, dropout=dropout))
        return client.share(client.prepare(TEXTS)).gradients["cls.predictions.bias"]

    torch.manual_seed(5)
    state = torch.get_rng_state()
    assert torch.equal(update(0), update(0))
    assert not torch.equal(update(0), update(1))
    assert torch.equal(update(0, dropout=True), update(0, dropout=True))
    assert not torch.equal(update(0, dropout=True), update(0))
    assert torch.equal(state, torch.get_rng_state())
    assert not mlm.module.training


def test_only_what_matches_is_shared(mlm: TextModel) -> None:
    client = Client(mlm, threat_model=ThreatModel(shared=("*query.weight", "cls.*")))
    names = client.share(client.prepare(TEXTS)).gradients.keys()
    assert names
    assert all(name.endswith("query.weight") or name.startswith("cls.") for name in names)
    nothing = Client(mlm, threat_model=ThreatModel(shared=("nix*",)))
    with pytest.raises(ConfigError, match="no parameter of the model matches"):
        nothing.share(nothing.prepare(TEXTS))


def test_the_original_sentence_is_kept_as_it_was_before_masking(mlm: TextModel) -> None:
    private = Client(mlm, ClientOptions(mask_rate=1.0)).prepare(TEXTS)
    assert private.original_ids == [mlm.tokenizer(text)["input_ids"] for text in TEXTS]
    assert mlm.task.filled(private.batch) == private.original_ids


@pytest.mark.parametrize(
    ("texts", "match"),
    [
        ([], "at least one sentence"),
        (["the cat", "  "], "sentence 2 is empty"),
        (["cat " * 23], "sentence 1 has 25 tokens, the model takes at most 24"),
    ],
)
def test_sentences_that_cannot_be_used(mlm: TextModel, texts: list[str], match: str) -> None:
    with pytest.raises(DataError, match=match):
        Client(mlm).prepare(texts)


@pytest.mark.parametrize("labels", [[0], [0, 3], [0, -1]])
def test_classes_that_do_not_fit(classifier: TextModel, labels: list[int]) -> None:
    with pytest.raises(DataError, match="labels"):
        Client(classifier).prepare(TEXTS, labels)
