"""What the client shares, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from textleak.core.errors import ConfigError, DataError
from textleak.core.threat_model import ThreatModel
from textleak.core.update import SharedUpdate
from textleak.vision.client import ImageClient, PrivateImages
from textleak.vision.models import ImageModel


def test_the_update_is_the_gradient_of_the_mean_loss(
    lenet: ImageModel, shared: tuple[PrivateImages, SharedUpdate]
) -> None:
    private, update = shared
    loss = cross_entropy(lenet.module(private.batch.pixels), private.batch.labels)
    expected = torch.autograd.grad(loss, list(lenet.module.parameters()))
    for got, want in zip(update.gradients.values(), expected, strict=True):
        torch.testing.assert_close(got, want)
    assert all(parameter.grad is None for parameter in lenet.module.parameters())


def test_only_what_is_granted_is_told(lenet: ImageModel, pixels: Tensor, tmp_path: Path) -> None:
    shy = ImageClient(lenet, ThreatModel(lengths=False, shared=("7.*",)))
    update = shy.share(shy.prepare(pixels, [1]))
    assert update.metadata.labels is None
    assert set(update.gradients) == {"7.weight", "7.bias"}
    open_ = ImageClient(lenet, ThreatModel(lengths=False, labels=True))
    update = open_.share(open_.prepare(pixels, [1]))
    assert update.metadata.labels == ((1,),)
    update.save(tmp_path / "u.safetensors")
    again = SharedUpdate.load(tmp_path / "u.safetensors")
    assert again.metadata == update.metadata
    assert again.metadata.model is not None
    assert again.metadata.model.image is not None
    assert again.metadata.model.image.shape == (1, 12, 12)
    said = open_.threat_model.describe("image")
    assert said == "known: model, task, batch size, labels; shared: all parameters"


def test_missing_labels_are_drawn_from_the_seed(lenet: ImageModel, pixels: Tensor) -> None:
    first = ImageClient(lenet, seed=5).prepare(pixels, [None]).batch.classes
    assert first == ImageClient(lenet, seed=5).prepare(pixels).batch.classes


@pytest.mark.parametrize(
    ("images", "labels", "complaint"),
    [
        (torch.zeros(1, 1, 9, 12), [0], "expected images of shape"),
        (torch.zeros(0, 1, 12, 12), [], "expected images of shape"),
        (torch.full((1, 1, 12, 12), torch.nan), [0], "NaN"),
        (torch.zeros(1, 1, 12, 12), [4], "between 0 and 3"),
        (torch.zeros(1, 1, 12, 12), [0, 1], "expected 1 labels"),
    ],
)
def test_what_cannot_be_used_is_refused(
    lenet: ImageModel, images: Tensor, labels: list[int], complaint: str
) -> None:
    with pytest.raises(DataError, match=complaint):
        ImageClient(lenet).prepare(images, labels)


def test_a_pattern_that_shares_nothing_is_refused(lenet: ImageModel, pixels: Tensor) -> None:
    client = ImageClient(lenet, ThreatModel(lengths=False, shared=("none*",)))
    with pytest.raises(ConfigError, match="none"):
        client.share(client.prepare(pixels, [0]))
