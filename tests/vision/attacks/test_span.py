"""The span of a batch's features: read off the last layer, and enough to tell its pictures apart."""

from __future__ import annotations

import pytest
import torch
from scipy.linalg import subspace_angles

from tests.vision.attacks.test_attacks import attack
from tests.vision.conftest import blobs
from tests.vision.sharing import PrivateImages, scores, share
from textleak.attacks.running import BaseSession
from textleak.core.errors import UpdateError
from textleak.core.update import SharedUpdate
from textleak.defences import Defences
from textleak.optim import LBFGSOptions
from textleak.vision.attacks.modality import ImageModality
from textleak.vision.attacks.span import (
    Apart,
    SpanSearch,
    feature_span,
    features_and_scores,
    span_distance,
)
from textleak.vision.attacks.verdict import doubts, verify
from textleak.vision.batch import ImageBatch
from textleak.vision.models import ImageModel, ImageModelOptions, load_image_model


def shared(
    labels: list[int], name: str = "lenet-unstrided", init: str = "auto", *defences: str
) -> tuple[ImageModel, PrivateImages, SharedUpdate]:
    options = ImageModelOptions(name=name, shape=(1, 12, 12), classes=6, init=init)
    model = load_image_model(options)
    defended = Defences.parse(list(defences))
    return model, *share(model, blobs(len(labels)), labels, defences=defended)


@pytest.mark.parametrize(("count", "width"), [(1, 5), (2, 7), (4, 40)])
def test_the_distance_is_that_of_principal_angles(count: int, width: int) -> None:
    span = torch.linalg.qr(torch.randn(width, count, dtype=torch.float64)).Q.T
    features = torch.randn(3, count, width, dtype=torch.float64)
    found = span_distance(span, features)
    for value, rows in zip(found.tolist(), features, strict=True):
        angles = subspace_angles(span.T.numpy(), rows.T.numpy())
        assert value == pytest.approx(float((torch.tensor(angles).sin() ** 2).sum()))
    mixed = torch.randn(count, count, dtype=torch.float64) @ span
    assert float(span_distance(span, mixed[None])) < 1e-20


def test_the_rows_span_the_features_and_scores_pictures_of_one_class() -> None:
    model, private, update = shared([1, 1, 1, 4])
    span = feature_span(model, update)
    assert span is not None
    assert torch.allclose(span @ span.T, torch.eye(4, dtype=torch.float64))
    with torch.no_grad():
        features, _ = features_and_scores(model, private.batch.pixels)
    assert float(span_distance(span, features.double()[None])) < 1e-6


@pytest.mark.parametrize(
    "update",
    [
        pytest.param(([2],), id="one picture"),
        pytest.param(([0, 1], "lenet"), id="fewer features than brightnesses"),
        pytest.param(([0, 1], "lenet-unstrided", "default"), id="features in common"),
        pytest.param(([0, 1], "lenet-unstrided", "auto", "gaussian:std=1e-2"), id="noise"),
        pytest.param(([0, 1, 2, 3] * 6,), id="too many pictures"),
    ],
)
def test_no_span_is_read_where_there_is_none(update: tuple[list[int], str]) -> None:
    model, _, seen = shared(*update)
    assert feature_span(model, seen) is None
    with pytest.raises(UpdateError, match="start=gray does without"):
        attack("dlg", start="span")(model, seen)


def test_as_many_pictures_as_classes_come_apart() -> None:
    options = ImageModelOptions(name="lenet-unstrided", shape=(1, 8, 8), classes=4)
    model = load_image_model(options)
    private, update = share(model, torch.rand(4, 1, 8, 8), [0, 1, 2, 3])
    span = feature_span(model, update)
    assert span is not None
    assert len(span) == 3
    result = attack("idlg")(model, update, seed=0)
    assert all(score.psnr > 40 and score.label_match for score in scores(result, private))


@pytest.mark.parametrize("name", ["dlg", "idlg"])
def test_two_pictures_of_one_class_come_back(name: str) -> None:
    model, private, update = shared([3, 3, 0])
    result = attack(name)(model, update, seed=0)
    assert all(score.psnr > 40 and score.label_match for score in scores(result, private))
    assert sorted(result.candidate.batch.classes) == [0, 3, 3]
    assert result.verified


def test_pictures_are_put_in_the_order_of_fixed_labels() -> None:
    images = torch.arange(2.0).reshape(1, 2, 1, 1, 1)
    truths = torch.tensor([[[0.1, 0.8, 0.1], [0.9, 0.05, 0.05]]])
    apart = Apart(images, truths, torch.zeros(1), iterations=1)
    assert apart.classes() == [0, 1]
    assert apart.points([0, 1]).tolist() == [[1, 0]]
    assert apart.points([1, 0]).tolist() == [[0, 1]]
    scores = apart.points(None)[0, 2:].reshape(2, 3)
    assert torch.allclose(scores.softmax(1), truths[0])


def test_swapped_halves_are_not_verified_where_the_gradient_hardly_sees_them() -> None:
    model, private, update = shared([3, 3], "lenet-unstrided", "default")
    truth = private.batch
    upper, lower = truth.pixels[:, :, :6], truth.pixels[:, :, 6:]
    swapped = ImageBatch(torch.cat([upper.flip(0), lower], 2), truth.labels)
    error = verify(model, update, swapped).error
    assert error < 1e-4
    assert all(doubts(model, update, swapped, error))
    assert not any(doubts(model, update, truth, 0.0))


def test_a_search_that_ends_in_a_local_minimum_begins_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, _, update = shared([3, 3, 0])
    span = feature_span(model, update)
    assert span is not None
    monkeypatch.setattr("textleak.vision.attacks.span.LIVELY", 0.0)  # equal pictures stay equal
    session = BaseSession(ImageModality(model))
    search = SpanSearch(model.in_double(), update, span, session, LBFGSOptions())
    stuck = search.tell_apart(1, inner=20, iterations=60)
    assert float(stuck.values.min()) > 1e-3
    draws = iter([0.0, 0.1])
    randn = torch.randn
    monkeypatch.setattr("textleak.vision.attacks.span.LIVELY", 1.0)
    monkeypatch.setattr(torch, "randn", lambda *size: next(draws) * randn(*size))
    torch.manual_seed(0)
    found = search.tell_apart(1, inner=20, iterations=60)
    assert float(found.values.min()) < 1e-3
    assert next(draws, None) is None


def test_one_iteration_is_enough_to_answer() -> None:
    model, _, update = shared([3, 0])
    found = attack("idlg", iterations=1)(model, update)
    assert found.candidate.batch.pixels.shape == (2, 1, 12, 12)
