"""Private images: one picture, a folder, a parquet file, or a data set of the Hub."""

from textleak.vision.data.loading import ImageDataOptions, LoadedImages, load_images

__all__ = ["ImageDataOptions", "LoadedImages", "load_images"]
