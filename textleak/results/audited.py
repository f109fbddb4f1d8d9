"""An audit read back from its folder: the results of its grid, and how complete they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

from textleak.core.errors import ConfigError
from textleak.core.grid_config import BaseGrid, GridConfig
from textleak.core.image_grid import ImageGridConfig
from textleak.results.grid_file import read_grid
from textleak.results.log import GridRecord, ImageGridRecord, RecordT, read_results

ConfigT = TypeVar("ConfigT", bound=BaseGrid)


@dataclass(frozen=True)
class BaseAudited(Generic[ConfigT, RecordT]):
    """The results of one grid.

    Attributes:
        folder: where they are.
        config: the grid.
        planned: how many runs it has.
        records: one for every finished run of it, in the order of the grid.
    """

    folder: str
    config: ConfigT
    planned: int
    records: list[RecordT]

    @property
    def failed(self) -> list[RecordT]:
        """The runs that came to nothing."""
        return [record for record in self.records if record.result is None]


Audited: TypeAlias = BaseAudited[GridConfig, GridRecord]
ImagesAudited: TypeAlias = BaseAudited[ImageGridConfig, ImageGridRecord]


def read_audit(
    folder: str | Path, complain: Callable[[str], object] | None = None
) -> BaseAudited[Any, Any]:
    """The audit in `folder`, finished or not.

    Args:
        folder: where it is.
        complain: told of each line of its results that cannot be read.

    Raises:
        ConfigError: there is none, it cannot be read, or no run of it is finished.
    """
    config, keys = read_grid(folder)
    kept = {record.key: record for record in read_results(folder, complain)}
    records = [kept[key] for key in keys if key in kept]
    if not records:
        raise ConfigError(f"no run of the audit in {str(folder)!r} is finished yet")
    return BaseAudited(str(folder), config, len(keys), records)
