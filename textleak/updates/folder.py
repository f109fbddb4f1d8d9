"""A checkpoint's folder: the one file of weights in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from textleak.core.errors import UpdateError
from textleak.updates.readers import Reader, read
from textleak.updates.stored import Stored

# As transformers and peft write them; the first that is there.
WEIGHTS = (
    *("model.safetensors", "model.safetensors.index.json", "adapter_model.safetensors"),
    *("pytorch_model.bin", "pytorch_model.bin.index.json", "adapter_model.bin"),
)
OTHERS = (".safetensors", ".npz", ".pt", ".bin", ".pth", ".ckpt")
ASIDE = ("optimizer.pt", "scheduler.pt", "training_args.bin", "rng_state.pth", "scaler.pt")


class Folder(Reader):
    """A folder as `save_pretrained` and Trainer leave it, or with one file of tensors."""

    says: ClassVar[str] = "the weights in a checkpoint's folder"

    def takes(self, path: Path) -> bool:
        """Any folder."""
        return path.is_dir()

    def read(self, path: Path) -> Stored:
        """The weights in it."""
        stored = read(path / weights_in(path))
        return replace(stored, source=str(path))


def weights_in(folder: Path) -> str:
    """The name of the file of weights in `folder`.

    Raises:
        UpdateError: there is none, or several and none with a name that is known.
    """
    known = next((name for name in WEIGHTS if (folder / name).is_file()), None)
    if known is not None:
        return known
    found = sorted(
        one.name
        for one in folder.iterdir()
        if one.suffix in OTHERS and one.name not in ASIDE and one.is_file()
    )
    if len(found) != 1:
        got = f"{', '.join(found[:3])}" if found else "none"
        raise UpdateError(
            f"the folder {str(folder)!r} has no one file of weights: expected model.safetensors, "
            f"adapter_model.safetensors or pytorch_model.bin, got {got}"
        )
    return found[0]
