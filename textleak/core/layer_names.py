"""Which layer a parameter is in, by its name."""

from __future__ import annotations

import re

_LAYER = re.compile(r"(?:^|\.)(?:layers?|h|blocks?)\.(\d+)\.")


def layer_number(name: str) -> int | None:
    """The number of the layer that the parameter is in; None for embeddings and heads.

    >>> layer_number("bert.encoder.layer.3.output.dense.weight")
    3
    """
    found = _LAYER.search(name)
    return int(found.group(1)) if found else None
