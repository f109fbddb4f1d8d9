"""A corner in the forward pass is seen, however it is written, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import tiny_config, tiny_tokenizer
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import BertForSequenceClassification

from textleak.models import ModelOptions, load_model
from textleak.models.activations import SMOOTH, swap_activations
from textleak.models.kinks import kinks
from textleak.vision.models import ImageModel

LAYERS: list[nn.Module] = [
    nn.ReLU(),
    nn.ReLU(inplace=True),
    nn.ReLU6(),
    nn.LeakyReLU(),
    nn.PReLU(),
    nn.RReLU(),
    nn.Threshold(0.1, 0.0),
    nn.Hardtanh(),
    nn.Hardswish(),
    nn.Hardsigmoid(),
    nn.Softshrink(),
    nn.Hardshrink(),
]
CALLS: list[Callable[[Tensor], Tensor]] = [
    F.relu,
    torch.relu,
    torch.relu_,
    F.leaky_relu,
    F.hardtanh,
    F.softshrink,
    lambda x: x.clamp(min=0),
    lambda x: x.clamp_min(0),
]


class Calling(nn.Module):
    """Applies a function behind a layer, without a layer of its own."""

    def __init__(self, call: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.dense, self.call = nn.Linear(4, 4), call

    def forward(self, x: Tensor) -> Tensor:
        return self.call(self.dense(x))


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
def test_layers_are_seen_and_can_be_swapped(layer: nn.Module) -> None:
    model = nn.Sequential(nn.Linear(4, 4), layer).eval()
    (found,) = kinks(model, lambda: model(torch.zeros(1, 4)))
    assert found.endswith(" in '1'")
    assert swap_activations(model, "tanh") == 1
    assert kinks(model, lambda: model(torch.zeros(1, 4))) == []


@pytest.mark.parametrize("call", CALLS)
def test_calls_in_a_forward_are_seen(call: Callable[[Tensor], Tensor]) -> None:
    model = nn.Sequential(Calling(call))
    (found,) = kinks(model, lambda: model(torch.zeros(1, 4)))
    assert found.endswith(" in '0'")


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_ones_are_not(name: str) -> None:
    model = nn.Sequential(nn.Linear(4, 4), SMOOTH[name](), nn.LayerNorm(4), nn.Softmax(1))
    assert kinks(model, lambda: model(torch.zeros(1, 4))) == []


def test_an_image_model_warns_of_a_call() -> None:
    module = nn.Sequential(nn.Flatten(), Calling(F.relu))
    (warning,) = ImageModel(module, (1, 2, 2), 4).warnings()
    assert "1 activations are not twice differentiable (first: ReLU in '1')" in warning


def test_a_text_model_notes_it(tmp_path: Path) -> None:
    BertForSequenceClassification(tiny_config(hidden_act="relu")).save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    (note,) = load_model(ModelOptions(name=str(tmp_path)), "classification").notes
    assert "1 activations are not twice differentiable (first: ReLU in 'bert.encoder" in note
    swapped = load_model(ModelOptions(name=str(tmp_path), activation="gelu"), "classification")
    assert swapped.notes == ("1 activations replaced by gelu",)
