"""`grid.json`: which grid the results of a folder are of."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from textleak.core.errors import ConfigError
from textleak.core.grid_config import BaseGrid, GridConfig
from textleak.core.image_grid import ImageGridConfig
from textleak.core.paths import is_file
from textleak.core.writing import write_text
from textleak.results.header import versions
from textleak.results.record import json_text

GRID = "grid.json"


def write_grid(folder: str | Path, config: BaseGrid, keys: Sequence[str]) -> None:
    """Note in `folder` which grid its results are of: the report shows the runs of these keys."""
    data = {
        "schema": 1,
        "config": config.model_dump(mode="json"),
        "versions": versions(),
        "keys": list(keys),
    }
    write_text(Path(folder) / GRID, json_text(data))


def read_grid(folder: str | Path) -> tuple[BaseGrid, list[str]]:
    """The grid that the results in `folder` are of, and the keys of its runs.

    Raises:
        ConfigError: there is none, or it cannot be read.
    """
    path = Path(folder) / GRID
    if not is_file(path):
        raise ConfigError(f"no audit in {str(folder)!r}: expected {GRID}, as textleak audit writes")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        schema = ImageGridConfig if "images" in data["config"] else GridConfig
        return schema.model_validate(data["config"]), list(data["keys"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = str(error).splitlines()[0]
        raise ConfigError(f"cannot read {str(path)!r}: {what}") from error
