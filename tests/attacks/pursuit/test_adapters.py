"""The text behind an adapter's update: exact and proven, from far fewer rows than there are words."""

from __future__ import annotations

import pytest

from textleak.attacks import ATTACKS
from textleak.client import Client, ClientOptions
from textleak.core.errors import UpdateError
from textleak.core.update import SharedUpdate
from textleak.models import ModelOptions, TextModel, load_model

pytest.importorskip("peft")
TEXTS = ["the old ferry leaves the harbour at noon", "a good map shows hills and roads"]


@pytest.fixture(scope="module")
def model() -> TextModel:
    options = ModelOptions(name="llama-mini", adapter="lora:rank=16", adapter_steps=2)
    return load_model(options, "causal")


@pytest.mark.parametrize("texts", [TEXTS[:1], TEXTS, [*TEXTS, TEXTS[0]]])
def test_an_adapters_update_gives_its_sentences_back(model: TextModel, texts: list[str]) -> None:
    client = Client(model, ClientOptions(seed=0))
    private = client.prepare(texts)
    kind = ATTACKS.load("subspace")
    found = kind(kind.options_class())(model, client.share(private), seed=0)
    assert sorted(found.token_ids) == sorted(private.original_ids)
    assert found.verdict.word == "proven"


def shared_by(model: TextModel, texts: list[str]) -> tuple[SharedUpdate, list[list[int]]]:
    client = Client(model, ClientOptions(seed=0))
    private = client.prepare(texts)
    return client.share(private), private.original_ids


def test_a_first_step_shows_fewer_words_than_ranks() -> None:
    fresh = load_model(ModelOptions(name="llama-mini", adapter="lora:rank=24"), "causal")
    update, truth = shared_by(fresh, TEXTS[:1])
    kind = ATTACKS.load("subspace")
    found = kind(kind.options_class())(fresh, update, seed=0)
    assert found.token_ids == truth
    assert found.verdict.word == "proven"


def test_a_first_step_of_more_words_is_refused_in_plain_words() -> None:
    fresh = load_model(ModelOptions(name="llama-tiny", adapter="lora:rank=2"), "causal")
    update, _ = shared_by(fresh, TEXTS[:1])
    kind = ATTACKS.load("subspace")
    with pytest.raises(UpdateError, match="fewer than its rank, 2"):
        kind(kind.options_class())(fresh, update, seed=0)


def test_places_from_a_table_are_refused_in_plain_words() -> None:
    options = ModelOptions(name="gpt2-tiny", adapter="lora:rank=2", adapter_steps=1)
    placed = load_model(options, "causal")
    update, _ = shared_by(placed, TEXTS[:1])
    kind = ATTACKS.load("subspace")
    with pytest.raises(UpdateError, match="not their places"):
        kind(kind.options_class())(placed, update, seed=0)
