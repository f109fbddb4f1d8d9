"""The public image classifier: the paper's networks, any module, or a Hub id."""

from textleak.vision.models.image_model import ImageModel
from textleak.vision.models.loading import ImageModelOptions, load_image_model

__all__ = ["ImageModel", "ImageModelOptions", "load_image_model"]
