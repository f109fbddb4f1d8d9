"""Margins against updates recomputed one by one, and what they say of noise."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from textleak.client import Client, ClientOptions, PrivateBatch
from textleak.core.batch import TokenBatch
from textleak.core.noise import NoiseLaw
from textleak.core.update import SharedUpdate
from textleak.defences import Defences
from textleak.gradients import parameter_gradients
from textleak.likelihood.margins import UNEXPLAINED, Margin, alone, margins
from textleak.likelihood.protocol import DROPOUT
from textleak.likelihood.scoring import Parts
from textleak.models import TextModel
from textleak.verdict.neighbours import Neighbour, replaced
from textleak.verdict.recompute import update_of

TEXTS = ["the cat sat on the mat .", "a dog ran !"]


def shared(
    model: TextModel, *specs: str, texts: list[str] = TEXTS, dropout: bool = False
) -> tuple[SharedUpdate, PrivateBatch]:
    labels = [0, 1][: len(texts)] if model.task.labelled else None
    options = ClientOptions(seed=0, dropout=dropout)
    client = Client(model, options, None, Defences.parse(specs))
    private = client.prepare(texts, labels)
    return client.share(private), private


def of(model: TextModel, *specs: str, texts: list[str] = TEXTS) -> list[Margin]:
    update, private = shared(model, *specs, texts=texts)
    found = margins(model, update, private.batch)
    assert not isinstance(found, str), found
    return found


def changed(batch: TokenBatch, row: int, place: int, word: int) -> Neighbour:
    own = alone(batch, row)
    ids = own.input_ids.clone()
    ids[0, place] = word
    return Neighbour(row, TokenBatch(ids, own.attention_mask, own.labels), (place,), "")


@pytest.mark.parametrize("name", ["mlm", "classifier"])
def test_a_part_changes_as_the_whole_update_does(name: str, request: pytest.FixtureRequest) -> None:
    model: TextModel = request.getfixturevalue(name)
    update, private = shared(model)
    batch = private.batch
    parts = Parts(model, list(update.gradients), batch)
    whole = update_of(model, update, batch)
    for row in range(2):
        others = [changed(batch, row, place, 7 + place) for place in (1, 2, 3)]
        inner = parts.inner(alone(batch, row), [one.batch for one in others], at_once=2)
        for index, other in enumerate(others):
            theirs = update_of(model, update, replaced(batch, other, 0))
            # Each tensor's numbers are sums of products that are rounded beside the largest's.
            room = 8 * torch.finfo(torch.float32).eps * float(inner.squared[:, 0].sum())
            for at, tensor in enumerate(parts.names):
                change = theirs[tensor].double() - whole[tensor].double()
                found = float(inner.distances[at, index + 1])
                assert found == pytest.approx(float(change.square().sum()), abs=room), tensor


@pytest.mark.parametrize("name", ["mlm", "classifier"])
def test_probes_estimate_how_far_a_step_moves_the_gradient(
    name: str, request: pytest.FixtureRequest
) -> None:
    model: TextModel = request.getfixturevalue(name)
    update, private = shared(model, texts=TEXTS[:1])
    own = alone(private.batch, 0)
    parts = Parts(model, list(update.gradients), private.batch)
    slopes = parts.probes(own, [1.0] * len(parts.names), 600)  # (R, T, H)
    table = model.word_table.detach()
    step = torch.zeros(1, *slopes.shape[1:])
    step[0, 2] = 1e-2 * (table[9] - table[6])

    def gradient(points: Tensor) -> dict[str, Tensor]:
        def loss() -> Tensor:
            states = model.family.encode(inputs_embeds=points, attention_mask=own.attention_mask)
            return model.task.loss(model, states, own)

        return parameter_gradients(model.module, loss, parts.names)

    before, after = (gradient(table[own.input_ids] + sign * step) for sign in (-0.5, 0.5))
    moved = sum(float((after[n] - before[n]).double().square().sum()) for n in parts.names)
    squares = (slopes * step).sum((1, 2)).double().square()  # (R,)
    error = float(squares.std()) / math.sqrt(len(squares))
    assert float(squares.mean()) == pytest.approx(moved, abs=5 * error)
    assert error < 0.2 * moved


@pytest.mark.parametrize("name", ["mlm", "classifier"])
def test_the_margin_falls_with_the_square_of_the_noise(
    name: str, request: pytest.FixtureRequest
) -> None:
    model: TextModel = request.getfixturevalue(name)
    strong, weak = (of(model, f"gaussian:std={std}") for std in ("1e-2", "1e-1"))
    for one, other in zip(strong, weak, strict=True):
        assert one.nats == pytest.approx(100 * other.nats)
        assert one.nats == min(one.places.values())
        assert all(nats < math.inf for nats in one.places.values())
    assert all(one.nats < 5 for one in of(model, "gaussian:std=1e3"))
    assert all(one.nats > 5 for one in of(model, "gaussian:std=1e-5"))


@pytest.mark.parametrize(
    ("specs", "law"),
    [
        (("gaussian:std=1e-2",), NoiseLaw("gaussian", 1e-2)),
        (("laplacian:std=1e-2",), NoiseLaw("laplacian", 1e-2)),
        (("dpsgd:clip=0.1,noise=0.5",), NoiseLaw("gaussian", 0.05)),
        (("clip:norm=0.1", "gaussian:std=1e-2"), NoiseLaw("gaussian", 1e-2)),
    ],
)
def test_a_margin_is_that_of_the_recomputed_update(
    classifier: TextModel, specs: tuple[str, ...], law: NoiseLaw
) -> None:
    update, private = shared(classifier, *specs, texts=TEXTS[:1])
    quiet = tuple(spec for spec in specs if not spec.startswith(("gaussian", "laplacian")))
    metadata = update.metadata.model_copy(update={"defences": quiet})
    clean = SharedUpdate(update.gradients, metadata)
    (found,) = margins(classifier, update, private.batch)
    assert isinstance(found, Margin)
    ids = torch.tensor([found.competitor])
    other = TokenBatch(ids, torch.ones_like(ids), private.batch.labels)
    mine, theirs = (update_of(classifier, clean, batch) for batch in (private.batch, other))
    nats = sum(law.nats(theirs[name] - mine[name]) for name in mine)
    assert found.nats == pytest.approx(nats, rel=1e-3)


def test_what_is_dropped_behind_the_noise_determines_less(classifier: TextModel) -> None:
    (whole,) = of(classifier, "gaussian:std=1e-2", texts=TEXTS[:1])
    (pruned,) = of(classifier, "gaussian:std=1e-2", "prune:ratio=0.9", texts=TEXTS[:1])
    assert 0 < pruned.nats < whole.nats


@pytest.mark.parametrize("specs", [(), ("bf16",), ("int8",), ("prune:ratio=0.5",)])
def test_without_noise_rounding_is_what_could_hide(
    classifier: TextModel, specs: tuple[str, ...]
) -> None:
    assert all(one.nats > 5 for one in of(classifier, *specs))


def test_what_leaves_no_trace_is_not_determined(mlm: TextModel) -> None:
    _, private = shared(mlm)
    labels = private.batch.labels.clone()
    labels[1] = -100
    labels[0, 1] = 7
    batch = TokenBatch(private.batch.input_ids, private.batch.attention_mask, labels)
    noisy = shared(mlm, "gaussian:std=1e-5")[0]
    found = margins(mlm, noisy, batch)
    assert not isinstance(found, str)
    assert found[0].nats > 5
    assert found[1].nats == 0


def test_what_cannot_be_said_is_not_said(mlm: TextModel) -> None:
    update, private = shared(mlm)
    other = TokenBatch(
        private.batch.input_ids.roll(1, 0), private.batch.attention_mask, private.batch.labels
    )
    assert margins(mlm, update, other) == UNEXPLAINED
    metadata = update.metadata.model_copy(
        update={"threat_model": update.metadata.threat_model.model_copy(update={"dropout": True})}
    )
    assert margins(mlm, SharedUpdate(update.gradients, metadata), private.batch) == DROPOUT


def test_what_an_attack_found_competes(classifier: TextModel) -> None:
    update, private = shared(classifier, "gaussian:std=1e-2")
    own = alone(private.batch, 1)
    twin = Neighbour(1, own, (2,), "the same again")
    (first, second) = margins(classifier, update, private.batch, [twin])
    assert isinstance(first, Margin)
    assert isinstance(second, Margin)
    assert first.nats > 0
    assert (second.nats, second.what) == (pytest.approx(0, abs=1e-3), "the same again")
