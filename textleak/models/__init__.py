"""The public model: loading, activation swap, and where each family keeps its parts."""

from textleak.core.batch import TokenBatch
from textleak.models.loading import ModelOptions, load_model
from textleak.models.text_model import TextModel

__all__ = ["ModelOptions", "TextModel", "TokenBatch", "load_model"]
