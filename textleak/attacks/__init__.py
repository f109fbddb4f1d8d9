"""Attacks: each sees the public model and the shared update only, never the truth."""

from typing import Any

from textleak.core.registry import Registry

ATTACKS: Registry[Any] = Registry(
    "attack",
    {
        "dlg": "textleak.attacks.dlg:Dlg",
        "dlg-paper": "textleak.attacks.dlg:DlgPaper",
        "auto": "textleak.attacks.auto:Auto",
        "subspace": "textleak.attacks.subspace:Subspace",
        "tag": "textleak.attacks.descent:Tag",
        "cosine": "textleak.attacks.descent:Cosine",
        "lamp": "textleak.attacks.lamp:Lamp",
    },
    "textleak.attacks",
)

__all__ = ["ATTACKS"]
