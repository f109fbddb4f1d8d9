"""Pictures as tensors and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from textleak.vision.pixels import decode_images, encode_images, from_picture, to_picture


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_comes_back_to_eight_bits(channels: int) -> None:
    images = torch.rand(2, channels, 5, 7)
    again = decode_images(encode_images(images))
    assert again.shape == images.shape
    assert (again - images).abs().max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize(
    ("mode", "channels"), [("L", 1), ("1", 1), ("RGB", 3), ("RGBA", 3), ("P", 3), ("CMYK", 3)]
)
def test_modes_become_gray_or_colour(mode: str, channels: int) -> None:
    image = from_picture(Image.new(mode, (4, 3)))
    assert image.shape == (channels, 3, 4)
    assert image.dtype == torch.float32
    assert 0 <= image.min() <= image.max() <= 1


def test_sixteen_bits_keep_their_range() -> None:
    deep = Image.fromarray(np.array([[0, 65535]], dtype=np.uint16))
    assert from_picture(deep).flatten().tolist() == [0.0, 1.0]


def test_brightness_outside_the_range_is_cut_off() -> None:
    picture = to_picture(torch.tensor([[[-3.0, 0.0, 9.0, float("nan")]]]))
    assert [picture.getpixel((x, 0)) for x in range(4)] == [0, 0, 255, 0]
