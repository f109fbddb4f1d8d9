"""What `torch.save` writes, read with `weights_only`: tensors and plain containers, never code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from textleak.core.errors import UpdateError
from textleak.updates.arrays import members
from textleak.updates.optimizer import is_optimizer, optimizer_state
from textleak.updates.readers import Reader
from textleak.updates.stored import Stored

_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt")
_PICKLE = b"\x80"  # how torch's format before 1.6 begins
# Under which keys training scripts and libraries keep a state dict among other things.
INSIDE = (
    *("state_dict", "model_state_dict", "model", "module", "gradients", "grads", "update", "delta"),
)


class TorchFile(Reader):
    """A file of `torch.save`: a state dict, gradients, a checkpoint, an optimiser."""

    says: ClassVar[str] = "torch.save of tensors, read with weights_only"

    def takes(self, path: Path) -> bool:
        """A zip with torch's pickle in it, or the older format by its name's end."""
        if any(name.rpartition("/")[2] == "data.pkl" for name in members(path)):
            return True
        return path.suffix.lower() in _SUFFIXES and path.is_file() and _begins(path, _PICKLE)

    def read(self, path: Path) -> Stored:
        """The tensors, out of whatever container is known."""
        return stored(path, loaded(path))


def loaded(path: Path) -> Any:
    """What is in a file of `torch.save`, on the CPU.

    Raises:
        UpdateError: it is not whole, or holds more than tensors and plain containers.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever torch makes of a file that is not as it should be
        raise UpdateError(
            f"{str(path)!r} is not a whole file of tensors: what else is pickled in it is not read; "
            "save its state dict alone, or as .safetensors"
        ) from error


def stored(path: Path, content: Any) -> Stored:
    """Tensors of what was loaded.

    Raises:
        UpdateError: there are none in any container that is known.
    """
    source = str(path)
    if is_optimizer(content):
        state = optimizer_state(content, source)
        return Stored(source, "optimiser's state", optimizer=state)
    if isinstance(content, list | tuple) and content and all(map(_array, content)):
        return Stored(source, "list of tensors", arrays=tuple(content))
    if isinstance(content, Mapping):
        named = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
        if named:
            return Stored(source, "torch file", named)
        inside = next((content[key] for key in INSIDE if key in content), None)
        if isinstance(inside, Mapping | list | tuple):
            return stored(path, inside)
        keys = ", ".join(str(key)[:40] for key in list(content)[:6]) or "nothing"
        raise UpdateError(
            f"{source!r} holds no tensors by name: got {keys}; expected a state dict, or one under "
            f"{', '.join(INSIDE[:3])}"
        )
    raise UpdateError(
        f"{source!r} holds {type(content).__name__}: expected tensors by name, or a list of them"
    )


def _array(value: Any) -> bool:
    return value is None or isinstance(value, Tensor)


def _begins(path: Path, start: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(start)) == start
    except OSError:
        return False
