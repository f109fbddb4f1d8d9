"""The readers of updates by name, and which of them takes a file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from textleak.core.errors import UpdateError
from textleak.core.paths import is_file, is_folder
from textleak.core.registry import Registry
from textleak.updates.stored import Stored


class Reader(ABC):
    """Reads one kind of file; a subclass says which files it takes, and reads them.

    Attributes:
        says: what it reads, in a few words.
    """

    says: ClassVar[str]

    @abstractmethod
    def takes(self, path: Path) -> bool:
        """Whether the file or folder at `path`, which is there, is of this kind."""

    @abstractmethod
    def read(self, path: Path) -> Stored:
        """What it holds.

        Raises:
            UpdateError: it cannot be used; one line.
        """


READERS: Registry[type[Reader]] = Registry(
    "update reader",
    {
        "folder": "textleak.updates.folder:Folder",
        "index": "textleak.updates.sharded:ShardedIndex",
        "npz": "textleak.updates.arrays:NumpyArrays",
        "torch": "textleak.updates.torch_file:TorchFile",
        "safetensors": "textleak.updates.safetensors_file:SafetensorsFile",
    },
    "textleak.readers",
)


def read(path: str | Path) -> Stored:
    """What the file or folder at `path` holds, by the first reader that takes it.

    Raises:
        UpdateError: there is none, or it cannot be used.
    """
    if not is_file(path) and not is_folder(path):
        raise UpdateError(
            f"no update at {str(path)!r}: expected a file (.safetensors, .npz, .pt, .bin) or a folder"
        )
    outside = [name for name in READERS if name != "safetensors"]  # which takes anything: the last
    for name in (*outside, "safetensors"):
        reader = READERS.load(name)()
        if reader.takes(Path(path)):
            return reader.read(Path(path))
    raise UpdateError(f"no reader takes {str(path)!r}")
