"""One loader: pictures with their labels, from wherever they are, as one batch of tensors."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from textleak.core.bounds import Pixels
from textleak.core.errors import DataError
from textleak.vision.data.folder import folder_picture, read_picture
from textleak.vision.data.tables import hub_pictures, parquet_pictures
from textleak.vision.pixels import from_picture

LARGEST = 64  # pixels a side that the paper's networks take as they are
SHRUNK = 32


class ImageDataOptions(BaseModel):
    """Which pictures; exactly one of `image`, `data` and `dataset`.

    Attributes:
        image: a picture file.
        data: a folder of pictures (a subfolder a class), or a parquet file.
        dataset: a known name (mnist, cifar10, cifar100, svhn, lfw) or a Hub id.
        split: which split of a data set; None takes its test split where it has one.
        index: the first picture.
        batch_size: how many, from `index` on.
        size: height and width to scale to, cut to a square; None keeps pictures of up to 64 pixels
            a side and shrinks larger ones to 32.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: Path | None = None
    data: Path | None = None
    dataset: str | None = None
    split: str | None = None
    index: int = Field(default=0, ge=0)
    batch_size: int = Field(default=1, ge=1)
    size: Pixels | None = None


@dataclass(frozen=True)
class Picture:
    """A picture with what is known of it: its class, how many classes there are, where it is from."""

    image: Image.Image
    label: int | None
    classes: int | None
    source: str


@dataclass(frozen=True)
class LoadedImages:
    """A batch of private images.

    Attributes:
        pixels: (B, C, H, W), brightness 0 to 1.
        labels: the classes; None where a picture has none.
        classes: how many classes the source tells apart, if it says so.
        sources: where each picture is from.
        notes: what was done to the pictures.
    """

    pixels: Tensor
    labels: list[int | None]
    classes: int | None
    sources: list[str]
    notes: tuple[str, ...] = field(default=())


def load_images(options: ImageDataOptions) -> LoadedImages:
    """Load the pictures that `options` names.

    Raises:
        DataError: none or several places are named, a picture cannot be read, an index is out of
            range, or the pictures of a batch differ in size or colour.
    """
    places = [options.image, options.data, options.dataset]
    if sum(place is not None for place in places) != 1:
        raise DataError("give one of --image FILE, --data FOLDER and --dataset NAME")
    pictures = _pictures(options)
    notes, images = [], []
    for picture in pictures:
        fitted = _fitted(picture.image, options.size)
        if fitted.size != picture.image.size:
            before, after = ("×".join(map(str, p.size)) for p in (picture.image, fitted))
            notes.append(f"{picture.source}: {before} cut and scaled to {after}")
        images.append(from_picture(fitted))
    shapes = {tuple(image.shape) for image in images}
    if len(shapes) > 1:
        raise DataError(
            f"the pictures of a batch must be alike, got channels × height × width "
            f"{', '.join('×'.join(map(str, shape)) for shape in sorted(shapes))}; --size N helps "
            "where only sizes differ"
        )
    return LoadedImages(
        torch.stack(images),
        [picture.label for picture in pictures],
        pictures[0].classes,
        [picture.source for picture in pictures],
        tuple(notes),
    )


def _pictures(options: ImageDataOptions) -> list[Picture]:
    wanted = range(options.index, options.index + options.batch_size)
    if options.image is not None:
        if options.index or options.batch_size > 1:
            raise DataError("--image is one picture: --index and --batch-size need --data")
        return [Picture(read_picture(options.image), None, None, options.image.name)]
    if options.dataset is not None:
        found = hub_pictures(options.dataset, options.split, wanted)
    elif options.data is not None and options.data.suffix == ".parquet":
        found = parquet_pictures(options.data, wanted)
    else:
        assert options.data is not None  # one of the three was given
        found = [folder_picture(options.data, index) for index in wanted]
    return [Picture(*parts) for parts in found]


def _fitted(picture: Image.Image, size: int | None) -> Image.Image:
    """The picture at the size asked for: the largest square in its middle, scaled."""
    if size is None:
        if max(picture.size) <= LARGEST:
            return picture
        size = SHRUNK
    if picture.size == (size, size):
        return picture
    width, height = picture.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    square = picture.crop((left, top, left + side, top + side))
    if square.mode in ("P", "1"):
        square = square.convert("RGB" if square.mode == "P" else "L")
    return square.resize((size, size), Image.Resampling.BICUBIC)
