"""The bound on what a gradient can hold of its images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tests.vision.conftest import blobs
from tests.vision.sharing import share
from textleak.vision.attacks.counting import most_numbers, unsettled
from textleak.vision.batch import ImageBatch
from textleak.vision.models import ImageModel, ImageModelOptions, load_image_model


def narrow(channels: int = 1) -> ImageModel:
    """A classifier that lets three numbers of an image through."""
    torch.manual_seed(0)
    layers = [nn.Flatten(), nn.Linear(channels * 144, 3), nn.Sigmoid(), nn.Linear(3, 4)]
    return ImageModel(nn.Sequential(*layers).double(), (channels, 12, 12), 4)


def rank(model: ImageModel, pixels: Tensor, labels: list[int], shared: set[str]) -> int:
    """The rank of the shared gradients' derivative by the brightnesses: the slow oracle."""

    def flat(images: Tensor) -> Tensor:
        loss = model.loss(ImageBatch(images, torch.tensor(labels)))
        kept = [p for n, p in model.parameters.items() if n in shared]
        found = torch.autograd.grad(loss, kept, create_graph=True)
        return torch.cat([gradient.flatten() for gradient in found])

    derivative = torch.autograd.functional.jacobian(flat, pixels).flatten(1)
    return int(torch.linalg.matrix_rank(derivative, rtol=1e-12))


def test_the_bound_holds_and_is_met_by_a_narrow_layer() -> None:
    model = narrow()
    pixels = blobs(2).double()
    _, whole = share(model, pixels, [0, 1])
    behind = {name: g for name, g in whole.gradients.items() if name.startswith("3.")}
    update = type(whole)(behind, whole.metadata)
    assert most_numbers(model, update) == 2 * 3
    assert rank(model, pixels, [0, 1], set(behind)) == 2 * 3
    assert most_numbers(model, whole) >= rank(model, pixels, [0, 1], set(whole.gradients))


def test_strides_lose_a_colour_batch() -> None:
    options = ImageModelOptions(name="lenet", shape=(3, 32, 32), classes=10)
    model = load_image_model(options)
    for count, held in ((1, 3072), (2, 2 * 768 + 4524), (4, 4 * 768 + 4524)):
        _, update = share(model, torch.rand(count, 3, 32, 32), list(range(count)))
        assert most_numbers(model, update) == held
        assert bool(unsettled(model, update)) == (count > 1)


def test_a_model_that_is_no_chain_is_not_warned_about() -> None:
    chain = narrow()

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.chain = chain.module

        def forward(self, pixels: Tensor) -> Tensor:
            logits: Tensor = self.chain(pixels)
            return logits

    model = ImageModel(Wrapped(), chain.shape, chain.classes)
    _, update = share(model, blobs(2).double(), [0, 1])
    assert unsettled(model, update) == ()
