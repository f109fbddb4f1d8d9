"""What an attack on images derives from; the rest is every attack's."""

from __future__ import annotations

from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

from pydantic import BaseModel

from textleak.attacks.base import BaseAttack
from textleak.attacks.running import BaseSession
from textleak.core.modality import Modality
from textleak.vision.attacks.modality import ImageModality
from textleak.vision.models.image_model import ImageModel
from textleak.vision.reconstruction import ImageCandidate, ImageReconstruction

OptionsT = TypeVar("OptionsT", bound=BaseModel)
ImageSession: TypeAlias = BaseSession[ImageModel, ImageCandidate]


class ImageAttack(
    BaseAttack[OptionsT, ImageModel, ImageCandidate, ImageReconstruction], Generic[OptionsT]
):
    """An attack that recovers images."""

    modality: ClassVar[type[Modality[Any, Any, Any]]] = ImageModality
