"""What an image attack tells while it runs; the text side's `Started` begins it."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Annotated, Literal

import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from torch import Tensor

from textleak.core.budget import Stop
from textleak.core.events import Started
from textleak.core.verdict import Word
from textleak.vision.pixels import from_picture, to_picture


class ImageIteration(BaseModel):
    """Where the attack stands.

    Attributes:
        stage: what the attack is doing.
        iteration: outer iterations so far.
        total: how many there can be at most, when known.
        evaluations: candidate gradients evaluated so far.
        seconds: since the start.
        objective: the best candidate's objective now.
        images: its images, each a PNG in base64.
        labels: its classes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    kind: Literal["image-iteration"] = "image-iteration"
    stage: str
    iteration: int
    total: int | None = None
    evaluations: int
    seconds: float
    objective: float
    images: list[str]
    labels: list[int]


class ImageFinished(BaseModel):
    """The attack has ended."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    kind: Literal["image-finished"] = "image-finished"
    evaluations: int
    seconds: float
    images: list[str]
    labels: list[int]
    gradient_error: float
    verified: bool
    verdict: Word | None = None
    stopped: Stop | None = None
    interrupted: bool = False


ImageEvent = Started | ImageIteration | ImageFinished
OnImageEvent = Callable[[ImageEvent], None]
_ADAPTER: TypeAdapter[ImageEvent] = TypeAdapter(Annotated[ImageEvent, Field(discriminator="kind")])


def parse_image_event(line: str) -> ImageEvent:
    """Read one event from its line of JSON.

    >>> parse_image_event('{"kind": "started", "attack": "dlg"}').attack
    'dlg'
    """
    return _ADAPTER.validate_json(line)


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
