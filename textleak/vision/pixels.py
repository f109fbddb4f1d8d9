"""Pictures as tensors and back."""

from __future__ import annotations

import base64
import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor

GRAY_MODES = ("1", "L", "LA", "I", "I;16", "F")


def from_picture(picture: Image.Image) -> Tensor:
    """A picture as (C, H, W) float32, brightness 0 to 1: one channel for gray, else three.

    >>> from_picture(Image.new("L", (3, 2), 255)).shape
    torch.Size([1, 2, 3])
    """
    if picture.mode in ("I", "I;16"):  # sixteen bits: convert("L") would clip them
        deep = torch.from_numpy(np.asarray(picture).astype(np.float32))
        return deep[None] / 65535
    gray = picture.mode in GRAY_MODES
    values = torch.from_numpy(np.array(picture.convert("L" if gray else "RGB")))
    channels_last = values[..., None] if gray else values
    return channels_last.permute(2, 0, 1).float() / 255


def to_picture(image: Tensor) -> Image.Image:
    """An image (1 or 3, H, W) as a picture; brightness outside 0 to 1 is cut off.

    >>> to_picture(torch.full((1, 2, 2), 7.0)).getpixel((0, 0))
    255
    """
    values = (image.detach().cpu().float().nan_to_num(0.0).clamp(0, 1) * 255).round().byte()
    if len(values) == 1:
        return Image.fromarray(values[0].numpy())
    return Image.fromarray(values.permute(1, 2, 0).contiguous().numpy())


def encode_images(pixels: Tensor) -> list[str]:
    """Images (B, C, H, W) as PNGs in base64, eight bits a channel.

    >>> decode_images(encode_images(torch.ones(1, 1, 2, 2))).shape
    torch.Size([1, 1, 2, 2])
    """
    encoded = []
    for image in pixels:
        buffer = io.BytesIO()
        to_picture(image).save(buffer, format="PNG")
        encoded.append(base64.b64encode(buffer.getvalue()).decode("ascii"))
    return encoded


def decode_images(encoded: list[str]) -> Tensor:
    """The images (B, C, H, W) behind `encode_images`, brightness 0 to 1."""
    pictures = [Image.open(io.BytesIO(base64.b64decode(text))) for text in encoded]
    return torch.stack([from_picture(picture) for picture in pictures])
