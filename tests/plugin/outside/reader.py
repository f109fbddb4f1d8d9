"""A reader of updates: gradients as lists of numbers in a JSON file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import torch

from textleak.core.errors import UpdateError
from textleak.updates.readers import Reader
from textleak.updates.stored import Stored


class JsonLists(Reader):
    """A `.json` file of nested lists by the parameter's name."""

    says: ClassVar[str] = "gradients as lists of numbers in JSON"

    def takes(self, path: Path) -> bool:
        """By its ending."""
        return path.suffix == ".json"

    def read(self, path: Path) -> Stored:
        """The lists as tensors."""
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            tensors = {name: torch.tensor(rows) for name, rows in found.items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise UpdateError(f"{str(path)!r} is not lists of numbers by name") from error
        return Stored(str(path), "JSON", tensors)
