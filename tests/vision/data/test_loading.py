"""Pictures from files, folders and tables, and what is said of those that cannot be used."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from textleak.core.errors import DataError
from textleak.vision.data import ImageDataOptions, load_images


def load(**options: Any) -> Any:
    return load_images(ImageDataOptions(**options))


def test_a_folder_gives_pictures_with_their_classes(folder: Path) -> None:
    images = load(data=folder, index=1, batch_size=3)
    assert images.pixels.shape == (3, 1, 12, 12)
    assert images.labels == [0, 1, 1]
    assert images.classes == 2
    assert images.sources == ["cat/1.png", "dog/2.png", "dog/3.png"]


def test_a_large_picture_is_cut_and_scaled_and_it_is_said(tmp_path: Path) -> None:
    Image.new("RGB", (200, 100), "red").save(tmp_path / "photo.jpg")
    images = load(image=tmp_path / "photo.jpg")
    assert images.pixels.shape == (1, 3, 32, 32)
    assert images.labels == [None]
    assert images.notes == ("photo.jpg: 200×100 cut and scaled to 32×32",)
    assert load(image=tmp_path / "photo.jpg", size=16).pixels.shape == (1, 3, 16, 16)


@pytest.mark.parametrize("mode", ["RGBA", "P", "1", "I;16"])
def test_any_mode_can_be_scaled(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (90, 70)).save(tmp_path / "picture.png")
    assert load(image=tmp_path / "picture.png").pixels.shape[2:] == (32, 32)


def png(colour: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (12, 12), colour).save(buffer, format="PNG")
    return buffer.getvalue()


def test_parquet_gives_pictures_with_their_classes(tmp_path: Path) -> None:
    rows = [{"bytes": png(50 * index), "path": None} for index in range(3)]
    table = pa.table({"image": rows, "label": [4, 5, 6]})
    pq.write_table(table, tmp_path / "pictures.parquet")
    images = load(data=tmp_path / "pictures.parquet", index=1, batch_size=2)
    assert images.labels == [5, 6]
    assert images.pixels[:, 0, 0, 0].tolist() == pytest.approx([50 / 255, 100 / 255])
    with pytest.raises(DataError, match="no picture 3"):
        load(data=tmp_path / "pictures.parquet", index=2, batch_size=2)


def test_what_cannot_be_read_is_named(folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(png(0)[:40])
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.parquet").write_text("no table")
    pq.write_table(pa.table({"words": ["a"]}), tmp_path / "words.parquet")
    wrong: list[tuple[dict[str, Any], str]] = [
        ({}, "one of --image"),
        ({"image": broken, "data": folder}, "one of --image"),
        ({"image": broken}, "cannot read the picture"),
        ({"image": tmp_path / "none.png"}, "no picture at"),
        ({"image": folder / "cat" / "0.png", "index": 2}, "--image is one picture"),
        ({"data": tmp_path / "none"}, "no folder of pictures"),
        ({"data": tmp_path / "empty"}, "no pictures in"),
        ({"data": folder, "index": 4}, "no picture 4 .* 0 to 3"),
        ({"data": folder, "index": 3, "batch_size": 2}, "no picture 4"),
        ({"data": tmp_path / "none.parquet"}, "no parquet file"),
        ({"data": tmp_path / "text.parquet"}, "cannot read pictures"),
        ({"data": tmp_path / "words.parquet"}, "no column of pictures"),
        ({"dataset": "cifar1"}, "unknown dataset 'cifar1'; did you mean 'cifar10'"),
    ]
    for options, complaint in wrong:
        with pytest.raises(DataError, match=complaint):
            load(**options)


def test_pictures_of_a_batch_must_be_alike(folder: Path) -> None:
    Image.new("RGB", (12, 12)).save(folder / "cat" / "0.png")
    with pytest.raises(DataError, match="1×12×12, 3×12×12"):
        load(data=folder, batch_size=2)
