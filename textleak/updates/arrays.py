"""Arrays as numpy saves them: named ones, and a list without names, as Flower's clients send it."""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from textleak.core.errors import UpdateError
from textleak.updates.readers import Reader
from textleak.updates.stored import Stored

_NUMBERED = re.compile(r"arr_(\d+)")  # how numpy names what is saved without a name


class NumpyArrays(Reader):
    """An `.npz` file: arrays by name, or `np.savez(path, *arrays)` of a list without names."""

    says: ClassVar[str] = "numpy's arrays, by name or in the order of the model's state dict"

    def takes(self, path: Path) -> bool:
        """A zip file of arrays."""
        return any(name.endswith(".npy") for name in members(path))

    def read(self, path: Path) -> Stored:
        """The arrays; none that is pickled is read."""
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: _tensor(file[name], name, path) for name in file.files}
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise UpdateError(
                f"{str(path)!r} is not a whole .npz file of numbers (pickled arrays are not read)"
            ) from error
        numbers = [_NUMBERED.fullmatch(name) for name in arrays]
        if all(numbers):
            ordered = sorted(arrays, key=lambda name: int(name.removeprefix("arr_")))
            return Stored(str(path), "npz", arrays=tuple(arrays[name] for name in ordered))
        return Stored(str(path), "npz", arrays)


def _tensor(array: np.ndarray[Any, Any], name: str, path: Path) -> Tensor:
    if array.dtype.kind not in "fiub":
        raise UpdateError(f"{str(path)!r} holds {name!r} of type {array.dtype}: expected numbers")
    return torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("=")))


def members(path: Path) -> list[str]:
    """The names inside a zip file; none where it is no such file."""
    try:
        with zipfile.ZipFile(path) as file:
            return file.namelist()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return []
