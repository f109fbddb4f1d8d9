"""Every image attack recovers what it should; what all attacks promise is in test_conformance."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn

from tests.vision.conftest import blobs
from tests.vision.sharing import PrivateImages, scores, share
from textleak.core.errors import ConfigError, ModelError, UpdateError
from textleak.core.threat_model import ThreatModel
from textleak.core.update import SharedUpdate
from textleak.defences import on_update
from textleak.vision.attacks import IMAGE_ATTACKS, ImageAttack, search
from textleak.vision.attacks.base import ImageSession
from textleak.vision.attacks.dlg import DLGOptions
from textleak.vision.attacks.inverting import total_variation
from textleak.vision.attacks.labels import read_off_labels
from textleak.vision.batch import ImageBatch
from textleak.vision.models import ImageModel, ImageModelOptions, load_image_model
from textleak.vision.reconstruction import ImageCandidate


def attack(name: str, **options: Any) -> ImageAttack[Any]:
    kind = IMAGE_ATTACKS.load(name)
    return kind(kind.options_class(**options))


def perceptron(pixels: Tensor, label: int = 2) -> tuple[ImageModel, PrivateImages, SharedUpdate]:
    shape = (pixels.shape[1], pixels.shape[2], pixels.shape[3])
    model = load_image_model(ImageModelOptions(name="mlp", shape=shape, classes=4))
    return model, *share(model, pixels, [label] * len(pixels))


@pytest.mark.parametrize("name", ["dlg", "idlg"])
def test_lenet_gives_its_image_and_label_back(
    name: str, lenet: ImageModel, shared: tuple[PrivateImages, SharedUpdate]
) -> None:
    private, update = shared
    result = attack(name, restarts=2)(lenet, update, seed=0)
    (score,) = scores(result, private)
    assert score.psnr > 40
    assert score.label_match
    assert result.verified
    assert result.evaluations < 1000


def test_a_batch_comes_back_from_the_network_without_strides() -> None:
    options = ImageModelOptions(name="lenet-unstrided", shape=(1, 12, 12), classes=4)
    model = load_image_model(options)
    assert all(layer.stride == (1, 1) for layer in model.module if isinstance(layer, nn.Conv2d))
    private, update = share(model, blobs(3), [0, 1, 3])
    result = attack("idlg")(model, update, seed=0)
    assert all(score.psnr > 40 and score.label_match for score in scores(result, private))
    assert result.verified


def test_an_image_with_hardly_a_gradient_is_never_verified(lenet: ImageModel) -> None:
    head = lenet.module.get_submodule(lenet.head or "")
    with torch.no_grad():
        head.bias[2] += 40  # type: ignore[operator,index]
    private, update = share(lenet, blobs(2), [1, 2])

    class Half(ImageAttack[DLGOptions]):
        name = "half"

        def run(
            self, model: ImageModel, update: SharedUpdate, session: ImageSession
        ) -> ImageCandidate:
            pixels = private.batch.pixels.clone()
            pixels[1] = 0.5
            return ImageCandidate(ImageBatch(pixels, private.batch.labels), objective=0.0)

    result = Half(DLGOptions())(lenet, update)
    assert result.gradient_error < 1e-6
    assert not result.verified


def test_the_images_of_a_batch_are_updated_one_at_a_time(lenet: ImageModel) -> None:
    _, update = share(lenet, torch.rand(2, 1, 12, 12), [1, 3])
    one, both = (
        attack("dlg", schedule="one-at-a-time", iterations=iterations)(lenet, update).candidate
        for iterations in (1, 2)
    )
    assert torch.equal(one.batch.pixels[0], both.batch.pixels[0])
    assert not torch.equal(one.batch.pixels[1], both.batch.pixels[1])
    assert both.objective < one.objective


def test_inverting_finds_the_image_up_to_its_prior(
    lenet: ImageModel, shared: tuple[PrivateImages, SharedUpdate]
) -> None:
    private, update = shared
    options = {"iterations": 300, "total_variation": 1e-4, "restarts": 1}
    result = attack("inverting", **options)(lenet, update, seed=0)
    assert scores(result, private)[0].psnr > 15
    pixels = result.candidate.batch.pixels
    assert 0 <= pixels.min() <= pixels.max() <= 1


def test_the_analytic_recovery_is_exact_and_needs_a_linear_layer(
    pixels: Tensor, lenet: ImageModel, shared: tuple[PrivateImages, SharedUpdate]
) -> None:
    model, private, update = perceptron(pixels)
    result = attack("analytic")(model, update)
    torch.testing.assert_close(result.candidate.batch.pixels, private.batch.pixels)
    assert result.candidate.batch.classes == [2]
    assert result.verified
    with pytest.raises(ModelError, match="first layer here is Conv2d '0'"):
        attack("analytic")(lenet, shared[1])
    model, _, update = perceptron(torch.cat([pixels, 1 - pixels]))
    with pytest.raises(ConfigError, match="batch of 2"):
        attack("analytic")(model, update)


def test_the_analytic_recovery_undoes_the_normalisation() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.Tanh(), nn.Linear(4, 3))
    model = ImageModel(module, (3, 2, 2), 3, mean=(0.5, 0.4, 0.3), spread=(0.2, 0.3, 0.4))
    private, update = share(model, torch.rand(1, 3, 2, 2), [1])
    result = attack("analytic")(model, update)
    torch.testing.assert_close(result.candidate.batch.pixels, private.batch.pixels)


@pytest.mark.parametrize("label", range(4))
def test_the_label_of_one_image_is_read_off(pixels: Tensor, label: int) -> None:
    model, _, update = perceptron(pixels, label)
    assert read_off_labels(model, update, 1) == [label]
    bare = SharedUpdate({"3.weight": update.gradients["3.weight"]}, update.metadata)
    assert read_off_labels(model, bare, 1) == [label]
    first = SharedUpdate({"1.weight": update.gradients["1.weight"]}, update.metadata)
    assert read_off_labels(model, first, 1) is None
    with pytest.raises(UpdateError, match="last linear layer"):
        attack("idlg", iterations=1)(model, first)


def test_the_labels_of_a_batch_are_counted() -> None:
    model = load_image_model(ImageModelOptions(name="mlp", shape=(1, 12, 12), classes=10))
    labels = [7, 7, 1, 4]
    _, update = share(model, torch.rand(4, 1, 12, 12), labels)
    assert read_off_labels(model, update, 4) == sorted(labels)


def test_granted_labels_are_used(lenet: ImageModel, pixels: Tensor) -> None:
    granted = ThreatModel(lengths=False, labels=True)
    _, update = share(lenet, pixels, [3], threat_model=granted)
    result = attack("dlg", iterations=1)(lenet, update)
    assert result.candidate.batch.classes == [3]
    assert result.candidate.batch.labels.dim() == 1


def test_a_misfit_is_refused_and_a_protected_update_attacked(
    lenet: ImageModel, shared: tuple[PrivateImages, SharedUpdate]
) -> None:
    _, update = shared
    wrong = SharedUpdate({"0.weight": torch.zeros(1)}, update.metadata)
    with pytest.raises(UpdateError, match="shape"):
        attack("dlg")(lenet, wrong)
    noisy = on_update("gaussian:std=0.1")(on_update("bf16")(update))
    result = attack("dlg", iterations=2)(lenet, noisy)
    assert not result.verified


def test_total_variation_counts_neighbours() -> None:
    edge = torch.tensor([[0.0, 1.0], [0.0, 1.0]])[None, None, None]
    assert float(total_variation(edge)) == 1.0


def test_gauss_newton_coordinates_finish_what_the_plain_search_began(
    lenet: ImageModel, shared: tuple[PrivateImages, SharedUpdate]
) -> None:
    private, update = shared
    with patch.object(search, "RoundCoordinates", wraps=search.RoundCoordinates) as coordinates:
        begun = attack("dlg", iterations=4, precondition=0)(lenet, update)
        assert not coordinates.called
        finished = attack("dlg", iterations=12, precondition=4)(lenet, update)
    assert coordinates.called
    assert scores(finished, private)[0].psnr > 60
    assert finished.verified
    assert finished.gradient_error < begun.gradient_error


def test_gauss_newton_recovers_from_a_deep_network_in_float32(pixels: Tensor) -> None:
    model = load_image_model(ImageModelOptions(name="resnet20", shape=(1, 7, 7), classes=4))
    private, update = share(model, pixels[..., 2:9, 2:9], [2])
    begun = attack("idlg", iterations=2)(model, update)
    assert begun.gradient_error < 1e-3  # the large tensors hardly see the picture
    assert not begun.verified
    result = attack("idlg", iterations=25)(model, update)
    assert scores(result, private)[0].psnr > 40
    assert result.verified


@pytest.mark.parametrize(
    ("options", "newton"),
    [
        ({}, True),
        ({"optimizer": "lbfgs"}, False),
        ({"schedule": "one-at-a-time"}, False),
    ],
)
def test_deep_networks_are_searched_by_gauss_newton_unless_asked(
    options: dict[str, Any], newton: bool
) -> None:
    shape = (3, 8, 8)
    deep = load_image_model(ImageModelOptions(name="resnet20", shape=shape))
    shallow = load_image_model(ImageModelOptions(name="lenet", shape=shape))
    chosen = DLGOptions(**options)
    assert chosen.by_newton(deep, 192) is newton
    assert not chosen.by_newton(shallow, 192)
    assert not chosen.by_newton(deep, 5000)
    assert DLGOptions(optimizer="newton").by_newton(shallow, 5000)
