"""A checkpoint in several files with an index that says which tensor is in which."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import ClassVar

from torch import Tensor

from textleak.core.errors import UpdateError
from textleak.updates.readers import Reader, read
from textleak.updates.stored import Stored

INDEX = ".index.json"


class ShardedIndex(Reader):
    """The index of a sharded checkpoint, `….index.json`, and the files that it names beside it."""

    says: ClassVar[str] = "the shards of a checkpoint that an index names"

    def takes(self, path: Path) -> bool:
        """By how its name ends."""
        return path.name.endswith(INDEX)

    def read(self, path: Path) -> Stored:
        """All shards together; only files beside the index are read."""
        try:
            places = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
            names = {str(name): str(place) for name, place in places.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UpdateError(
                f"{str(path)!r} is no index of a checkpoint: expected JSON with a weight_map"
            ) from error
        tensors: dict[str, Tensor] = {}
        for place in sorted(set(names.values())):
            if PurePosixPath(place).name != place or place.endswith(INDEX):
                raise UpdateError(f"{str(path)!r} names {place[:80]!r}, which is not beside it")
            tensors |= read(path.parent / place).tensors
        lacking = sorted(names.keys() - tensors.keys())
        if lacking:
            raise UpdateError(
                f"{str(path)!r} names the tensor {lacking[0]!r}, which no shard holds"
            )
        return Stored(str(path), "sharded checkpoint", tensors)
