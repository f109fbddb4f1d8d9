"""Attacks on images, by name. None of them sees the truth."""

from textleak.attacks import GROUP, recovers
from textleak.core.registry import Registry
from textleak.vision.attacks.base import ImageAttack

IMAGE_ATTACKS: Registry[type[ImageAttack]] = Registry(  # type: ignore[type-arg]
    "image attack",
    {
        "dlg": "textleak.vision.attacks.dlg:DLG",
        "idlg": "textleak.vision.attacks.idlg:IDLG",
        "inverting": "textleak.vision.attacks.inverting:InvertingGradients",
        "analytic": "textleak.vision.attacks.analytic:Analytic",
    },
    GROUP,
    recovers("image"),
)

__all__ = ["IMAGE_ATTACKS", "ImageAttack"]
