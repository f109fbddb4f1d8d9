"""Small generated pictures, a small network, and one recovery that the views share."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.vision.sharing import PrivateImages, share
from textleak.core.update import SharedUpdate
from textleak.vision.models import ImageModel, ImageModelOptions, load_image_model
from textleak.vision.pixels import to_picture


def blobs(count: int, channels: int = 1, size: int = 12) -> Tensor:
    """Pictures of soft spots, each in another place, (count, channels, size, size)."""
    axis = torch.linspace(-1, 1, size)
    pictures = []
    for index in range(count):
        turn = torch.tensor(1.3 * index)
        across = (axis - 0.5 * turn.cos())[None, :]
        down = (axis - 0.5 * turn.sin())[:, None]
        spot = torch.exp(-3 * (across**2 + down**2))
        pictures.append(torch.stack([spot / (channel + 1) for channel in range(channels)]))
    return torch.stack(pictures)


@pytest.fixture
def pixels() -> Tensor:
    """One gray picture, (1, 1, 12, 12)."""
    return blobs(1)


@pytest.fixture
def lenet() -> ImageModel:
    """The paper's network for pictures of 12 pixels a side."""
    return load_image_model(ImageModelOptions(name="lenet", shape=(1, 12, 12), classes=4))


@pytest.fixture
def shared(lenet: ImageModel, pixels: Tensor) -> tuple[PrivateImages, SharedUpdate]:
    """The truth, and what its client shares."""
    return share(lenet, pixels, [2])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of two pictures each."""
    for index, picture in enumerate(blobs(4)):
        path = tmp_path / "pictures" / ("cat", "dog")[index // 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        to_picture(picture).save(path)
    return tmp_path / "pictures"
