"""Attacks: each sees the public model and the shared update only, never the truth.

Those on text are here, those on images in `vision/attacks`. An outside package adds either by an entry
point of `textleak.attacks`: which it is, its `modality` says.
"""

from collections.abc import Callable
from typing import Any

from textleak.core.registry import Registry

GROUP = "textleak.attacks"


def recovers(modality: str) -> Callable[[Any], bool]:
    """Whether an attack is one on `modality`: `text` or `image`."""
    return lambda attack: bool(attack.modality.name == modality)


ATTACKS: Registry[Any] = Registry(
    "attack",
    {
        "dlg": "textleak.attacks.dlg:Dlg",
        "dlg-paper": "textleak.attacks.dlg:DlgPaper",
        "auto": "textleak.attacks.auto:Auto",
        "subspace": "textleak.attacks.subspace:Subspace",
        "likelihood": "textleak.attacks.likelihood:Likelihood",
        "tag": "textleak.attacks.descent:Tag",
        "cosine": "textleak.attacks.descent:Cosine",
        "lamp": "textleak.attacks.lamp:Lamp",
    },
    GROUP,
    recovers("text"),
)

__all__ = ["ATTACKS", "GROUP", "recovers"]
