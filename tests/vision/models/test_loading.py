"""The paper's networks, and classifiers of the Hub."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import ResNetConfig, ResNetForImageClassification, ViTImageProcessorPil

from textleak.core.errors import ConfigError, ModelError
from textleak.vision.models import ImageModel, ImageModelOptions, load_image_model
from textleak.vision.models.loading import NETWORKS


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("shape", [(1, 9, 11), (3, 12, 12)])
def test_a_network_maps_images_to_scores(name: str, shape: tuple[int, int, int]) -> None:
    model = load_image_model(ImageModelOptions(name=name, shape=shape, classes=5))
    assert model.logits(torch.rand(2, *shape)).shape == (2, 5)
    assert not model.module.training
    assert not model.warnings()
    assert model.head is not None


@pytest.mark.parametrize(("name", "layers"), [("resnet20", 20), ("resnet56", 56)])
def test_a_resnet_has_its_layers_and_no_stride(name: str, layers: int) -> None:
    module = load_image_model(ImageModelOptions(name=name, shape=(3, 8, 8))).module
    kernels = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    assert len([layer for layer in kernels if layer.kernel_size == (3, 3)]) + 1 == layers
    assert {layer.stride for layer in kernels} == {(1, 1)}


def test_lenet_is_drawn_uniform_from_its_seed() -> None:
    options = ImageModelOptions(shape=(1, 12, 12), weights_seed=3)
    first, again = load_image_model(options), load_image_model(options)
    other = load_image_model(options.model_copy(update={"weights_seed": 4}))
    assert first.recipe == again.recipe
    assert first.recipe != other.recipe
    weights = torch.cat([parameter.flatten() for parameter in first.parameters.values()])
    assert 0.49 < weights.abs().max() <= 0.5
    default = load_image_model(options.model_copy(update={"init": "default"}))
    assert max(float(p.detach().abs().max()) for p in default.parameters.values()) < 0.25


def test_the_activation_is_swapped() -> None:
    options = ImageModelOptions(shape=(1, 12, 12), activation="tanh")
    module = load_image_model(options).module
    kinds = {type(layer).__name__ for layer in module.modules()}
    assert "Tanh" in kinds
    assert "Sigmoid" not in kinds


def test_wrong_names_are_told_the_nearest() -> None:
    with pytest.raises(ModelError, match="did you mean 'lenet'"):
        load_image_model(ImageModelOptions(name="lenett", shape=(1, 8, 8)))
    with pytest.raises(ConfigError, match="did you mean 'sigmoid'"):
        load_image_model(ImageModelOptions(activation="sigmod", shape=(1, 8, 8)))
    with pytest.raises(ModelError, match="shape"):
        load_image_model(ImageModelOptions())
    with pytest.raises(ModelError, match="cannot load the image classifier"):
        load_image_model(ImageModelOptions(name="./nowhere"))


def test_a_hub_classifier_brings_its_size_normalisation_and_warning(tmp_path: Path) -> None:
    config = ResNetConfig(embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], num_labels=3)
    ResNetForImageClassification(config).save_pretrained(tmp_path)
    ViTImageProcessorPil(size={"height": 16, "width": 16}).save_pretrained(tmp_path)
    model = load_image_model(ImageModelOptions(name=str(tmp_path)))
    assert (model.shape, model.classes, model.mean) == ((3, 16, 16), 3, (0.5, 0.5, 0.5))
    assert model.logits(torch.rand(2, 3, 16, 16)).shape == (2, 3)
    assert "not twice differentiable" in model.warnings()[0]
    swapped = load_image_model(ImageModelOptions(name=str(tmp_path), activation="sigmoid"))
    assert not swapped.warnings()


def test_any_module_will_do() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    model = ImageModel(module, (3, 2, 2), 2)
    assert model.logits(torch.rand(1, 3, 2, 2)).shape == (1, 2)
    assert model.in_double().dtype == torch.float64
    assert model.dtype == torch.float32
