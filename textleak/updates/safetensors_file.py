"""A `.safetensors` file: textleak's own with its header, a checkpoint, gradients, an adapter."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textleak.core.update import SharedUpdate
from textleak.updates.readers import Reader
from textleak.updates.stored import Stored


class SafetensorsFile(Reader):
    """Named tensors in the format `.safetensors`, with textleak's header where it wrote them."""

    says: ClassVar[str] = "named tensors: an update of ours, gradients, a checkpoint, an adapter"

    def takes(self, path: Path) -> bool:
        """Any file: what is none is told so."""
        return not path.is_dir()

    def read(self, path: Path) -> Stored:
        """The tensors and the header."""
        update = SharedUpdate.load(path)
        return Stored(str(path), "safetensors", update.gradients, metadata=update.metadata)
