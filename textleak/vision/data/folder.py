"""Pictures in files: one of them, or a folder with a subfolder a class."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from textleak.core.errors import DataError

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
)


def read_picture(path: Path) -> Image.Image:
    """Read one picture.

    Raises:
        DataError: no such file, or not a whole picture.
    """
    if not path.is_file():
        raise DataError(f"no picture at {str(path)!r}")
    try:
        with Image.open(path) as file:
            file.load()
            picture: Image.Image = file.copy()
            return picture
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"cannot read the picture {str(path)!r}: {error}") from error


def folder_picture(folder: Path, index: int) -> tuple[Image.Image, int | None, int | None, str]:
    """Picture number `index` of a folder, in the order of their names.

    Returns:
        The picture; its class, the place of its subfolder among the subfolders (None in a flat
        folder); how many classes there are; its path inside the folder.

    Raises:
        DataError: no folder, no pictures in it, or an index out of range.
    """
    paths = _listed(folder)
    if index >= len(paths):
        raise DataError(f"no picture {index} in {str(folder)!r}: it holds 0 to {len(paths) - 1}")
    path = paths[index]
    classes = sorted({p.relative_to(folder).parts[0] for p in paths if p.parent != folder})
    inside = path.relative_to(folder)
    label = classes.index(inside.parts[0]) if path.parent != folder else None
    return read_picture(path), label, len(classes) or None, inside.as_posix()


@lru_cache(maxsize=8)
def _listed(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DataError(f"no folder of pictures, nor a .parquet file, at {str(folder)!r}")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise DataError(
            f"no pictures in {str(folder)!r}; known endings: {', '.join(sorted(SUFFIXES))}"
        )
    return paths
