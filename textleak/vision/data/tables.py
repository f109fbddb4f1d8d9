"""Pictures in tables: parquet files and data sets of the Hub, both through `datasets`."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image

from textleak.core.errors import DataError, unknown
from textleak.models.loading import first_line, local_only

# The paper's data sets: the Hub's id, and the configuration where there are several.
DATASETS: dict[str, tuple[str, str | None]] = {
    "mnist": ("ylecun/mnist", None),
    "cifar10": ("uoft-cs/cifar10", None),
    "cifar100": ("uoft-cs/cifar100", None),
    "svhn": ("ufldl-stanford/svhn", "cropped_digits"),
    "lfw": ("logasja/lfw", None),
}
LABELS = ("label", "fine_label", "labels", "class")

Row = tuple[Image.Image, int | None, int | None, str]


def parquet_pictures(path: Path, wanted: range) -> list[Row]:
    """Rows of a parquet file: pictures with their classes.

    Raises:
        DataError: no such file, not parquet, no column of pictures, or an index out of range.
    """
    from datasets import load_dataset

    if not path.is_file():
        raise DataError(f"no parquet file at {str(path)!r}")
    try:
        table = load_dataset("parquet", data_files=str(path), split="train", streaming=True)
        return _rows(table, wanted, path.name)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise DataError(f"cannot read pictures from {str(path)!r}: {first_line(error)}") from error


def hub_pictures(name: str, split: str | None, wanted: range) -> list[Row]:
    """Rows of a data set of the Hub, streamed: only what is needed is fetched.

    Args:
        name: a known name or a Hub id with its owner.
        split: which split; None takes the test split where there is one.
        wanted: the rows' numbers.

    Raises:
        DataError: an unknown name or split, no network, or an index out of range.
    """
    from datasets import get_dataset_split_names, load_dataset

    if name not in DATASETS and "/" not in name:
        raise DataError(unknown("dataset", name, DATASETS) + ", or a Hub id with its owner")
    hub_id, configuration = DATASETS.get(name, (name, None))
    failed = f"cannot load the dataset {name!r} ({hub_id}): "
    advice = "; without network, --data takes a folder of pictures or a parquet file"
    if local_only(hub_id):  # said at once, where datasets would try again and again
        raise DataError(failed + "the Hub does not answer" + advice)
    try:
        splits = get_dataset_split_names(hub_id, configuration)
        chosen = split or ("test" if "test" in splits else splits[0])
        if chosen not in splits:
            raise DataError(unknown(f"split of {name}", chosen, splits))
        table = load_dataset(hub_id, configuration, split=chosen, streaming=True)
        return _rows(table, wanted, f"{name}/{chosen}")
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise DataError(failed + first_line(error) + advice) from error


def _rows(table: Any, wanted: range, source: str) -> list[Row]:
    from datasets import ClassLabel
    from datasets import Image as ImageFeature

    features = dict(table.features or {})
    pictures = [key for key, kind in features.items() if isinstance(kind, ImageFeature)]
    guessed = not pictures and next((key for key in ("image", "img") if key in features), None)
    if guessed:  # a parquet file without the Hub's own notes on its columns
        table = table.cast_column(guessed, ImageFeature())
        pictures = [guessed]
    if not pictures:
        raise DataError(
            f"{source} has no column of pictures: {', '.join(features) or 'no columns'}"
        )
    labels = [key for key, kind in features.items() if isinstance(kind, ClassLabel)]
    labels = labels[:1] or [key for key in LABELS if key in features][:1]
    kind = features[labels[0]] if labels else None
    classes = kind.num_classes if isinstance(kind, ClassLabel) else None
    rows = list(islice(iter(table), wanted.start, wanted.stop))
    if len(rows) < len(wanted):
        last = wanted.start + len(rows)
        raise DataError(f"no picture {last} in {source}: it ends before")
    return [
        (row[pictures[0]], int(row[labels[0]]) if labels else None, classes, f"{source}/{number}")
        for number, row in zip(wanted, rows, strict=True)
    ]
