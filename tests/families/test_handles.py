"""What a family's handles say is what its modules do."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from families.folders import CORPUS, SIZES, make_folder

from textleak.client import Client, ClientOptions
from textleak.models import ModelOptions, TextModel, load_model
from textleak.models.families import FAMILIES
from textleak.models.inputs import inputs_of

OWN = [name for name in FAMILIES if not FAMILIES.load(name).causal]  # decoders have probes
TASKS = ["mlm", "classification", "token-classification"]


@pytest.fixture(params=SIZES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def load(path: Path, family: str, task: str) -> TextModel:
    return load_model(ModelOptions(name=make_folder(path, family, task)), task)


def test_every_family_is_here() -> None:
    assert set(SIZES) >= set(OWN)


@pytest.mark.parametrize("task", TASKS)
def test_the_loss_is_transformers_own(tmp_path: Path, family: str, task: str) -> None:
    model = load(tmp_path, family, task)
    batch = Client(model, ClientOptions(seed=1)).prepare(CORPUS[:3]).batch
    theirs = model.module(
        input_ids=batch.input_ids, attention_mask=batch.attention_mask, labels=batch.labels
    ).loss
    torch.testing.assert_close(model.loss(batch), theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", OWN)
def test_projections_read_what_their_gradients_rows_are_made_of(tmp_path: Path, name: str) -> None:
    model = load(tmp_path, name, "classification")
    batch = Client(model, ClientOptions(seed=1)).prepare(CORPUS[:1]).batch
    layer = model.family.layer(0)
    for part in (*layer.inputs, layer.output, *layer.feed_forward, layer.down):
        with inputs_of(part.layer) as seen:
            loss = model.loss(batch)
        gradients = torch.autograd.grad(loss, list(model.parameters.values()), allow_unused=True)
        shared = {n: g for n, g in zip(model.parameters, gradients, strict=True) if g is not None}
        gradient = part.of(shared)
        assert gradient is not None
        assert gradient.shape == part.weight.shape
        rows = torch.cat([state.detach().flatten(0, -2) for state in seen]).double()
        solved = torch.linalg.lstsq(rows.T, gradient.double().T, driver="gelsd").solution
        left = rows.T @ solved - gradient.double().T
        assert float(left.norm()) < 1e-4 * float(gradient.norm())


@pytest.mark.parametrize("name", OWN)
def test_the_head_over_words_is_taken_apart(tmp_path: Path, name: str) -> None:
    model = load(tmp_path, name, "mlm")
    head, states = model.family.head, torch.randn(5, 64)
    assert head.transform is not None
    assert head.tied
    bias = head.output.bias
    assert bias is not None
    logits = head.transform(states) @ head.output.weight.T + bias
    torch.testing.assert_close(logits, model.family.word_logits(states))
