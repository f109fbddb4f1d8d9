"""The text behind an adapter's update: exact and proven, from far fewer rows than there are words."""

from __future__ import annotations

import pytest

from textleak.attacks import ATTACKS
from textleak.client import Client, ClientOptions
from textleak.core.errors import UpdateError
from textleak.models import ModelOptions, TextModel, load_model

pytest.importorskip("peft")
TEXTS = ["the old ferry leaves the harbour at noon", "a good map shows hills and roads"]


@pytest.fixture(scope="module")
def model() -> TextModel:
    options = ModelOptions(name="llama-mini", adapter="lora:rank=16", adapter_steps=2)
    return load_model(options, "causal")


@pytest.mark.parametrize("texts", [TEXTS[:1], TEXTS])
def test_an_adapters_update_gives_its_sentences_back(model: TextModel, texts: list[str]) -> None:
    client = Client(model, ClientOptions(seed=0))
    private = client.prepare(texts)
    kind = ATTACKS.load("subspace")
    found = kind(kind.options_class())(model, client.share(private), seed=0)
    assert sorted(found.token_ids) == sorted(private.original_ids)
    assert found.verdict.word == "proven"


def test_a_first_step_is_refused_in_plain_words() -> None:
    options = ModelOptions(name="llama-tiny", adapter="lora:rank=2")
    fresh = load_model(options, "causal")
    client = Client(fresh, ClientOptions(seed=0))
    kind = ATTACKS.load("subspace")
    with pytest.raises(UpdateError, match="rows are zero"):
        kind(kind.options_class())(fresh, client.share(client.prepare(TEXTS[:1])), seed=0)


def test_places_from_a_table_are_refused_in_plain_words() -> None:
    options = ModelOptions(name="gpt2-tiny", adapter="lora:rank=2", adapter_steps=1)
    placed = load_model(options, "causal")
    client = Client(placed, ClientOptions(seed=0))
    kind = ATTACKS.load("subspace")
    with pytest.raises(UpdateError, match="not their places"):
        kind(kind.options_class())(placed, client.share(client.prepare(TEXTS[:1])), seed=0)
