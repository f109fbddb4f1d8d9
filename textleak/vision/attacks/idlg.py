"""Improved DLG (Zhao, Mopuri, Bilen 2020): the label is read off, only the image is searched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import BaseModel

from textleak.core.errors import UpdateError
from textleak.core.update import SharedUpdate
from textleak.vision.attacks.counting import batch_size
from textleak.vision.attacks.dlg import DLGOptions, LBFGSMatching
from textleak.vision.attacks.labels import known_labels, read_off_labels
from textleak.vision.models.image_model import ImageModel


class IDLG(LBFGSMatching[DLGOptions]):
    """DLG with the classes fixed to what the last layer's gradient tells."""

    name: ClassVar[str] = "idlg"
    options_class: ClassVar[type[BaseModel]] = DLGOptions

    def labels(self, model: ImageModel, update: SharedUpdate) -> Sequence[int]:
        """The classes granted, else read off the last layer.

        Raises:
            UpdateError: the last layer's gradient was not shared.
        """
        found = known_labels(update) or read_off_labels(model, update, batch_size(update))
        if found is None:
            raise UpdateError(
                "idlg reads the labels off the last linear layer's gradient, "
                "which this update does not hold; dlg searches for them instead"
            )
        return found
