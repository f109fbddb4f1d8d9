"""Read a run's configuration from YAML: a file, or a preset packaged with textleak."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from textleak.core.config import RunConfig
from textleak.core.errors import ConfigError, unknown
from textleak.core.paths import is_file, is_folder
from textleak.core.yaml_source import YamlSource
from textleak.core.yaml_values import MOST_CHARACTERS

if TYPE_CHECKING:
    from importlib.abc import Traversable


IMAGES, IMAGE_GRIDS = "vision", "vision-grids"  # where what is of images is packaged


def preset_names(schema: type[BaseModel] = RunConfig) -> list[str]:
    """The names of the packaged presets of one run: on text, or `vision/…`."""
    root = files("textleak_configs")
    if schema is RunConfig:
        return _names(root)
    return [f"{IMAGES}/{name}" for name in _names(root / IMAGES)]


def grid_names(folder: str | None = None) -> list[str]:
    """The names of the packaged grids in a folder, or of all on text, as `paper/text-table`."""
    root = files("textleak_configs")
    if folder is not None:
        return [f"{folder}/{name}" for name in _names(root / folder)]
    folders = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
    return [name for f in folders if f not in (IMAGES, IMAGE_GRIDS) for name in grid_names(f)]


def _names(folder: Traversable) -> list[str]:
    names = (entry.name for entry in folder.iterdir())
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))


def read_config(name: str, schema: type[BaseModel] = RunConfig) -> dict[str, Any]:
    """What the YAML file or packaged preset called `name` sets, checked.

    Args:
        name: of the file or preset.
        schema: what it configures.

    Raises:
        ConfigError: no such file, not YAML, an unknown key, or a value of the wrong type; one line
            with the file, the line and the key.
    """
    source = YamlSource.parse(*_text(name, preset_names(schema)))
    return source.validated(schema).model_dump(exclude_unset=True)


def grid_source(name: str, folder: str | None = None) -> YamlSource:
    """The YAML file or packaged grid called `name`, of the grids in `folder`.

    Raises:
        ConfigError: no such file, or not YAML.
    """
    return YamlSource.parse(*_text(name, grid_names(folder)))


def _text(name: str, packaged: Sequence[str]) -> tuple[str, str]:
    path = Path(name)
    if name in packaged and not is_file(path):
        return _packaged_text(name), name
    if not is_file(path):
        if path.suffix in (".yaml", ".yml") or (path.parent.name and is_folder(path.parent)):
            raise ConfigError(f"no configuration file at {name!r}")
        raise ConfigError(unknown("configuration", name, packaged))
    try:
        with path.open(encoding="utf-8-sig") as file:
            return file.read(MOST_CHARACTERS + 1), name  # one too many is refused as it is parsed
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"cannot read {name!r}: {reason}") from error


def _packaged_text(name: str) -> str:
    return (files("textleak_configs") / f"{name}.yaml").read_text(encoding="utf-8")


def preset_summary(name: str) -> str:
    """The first comment of the packaged preset or grid called `name`, in one line."""
    comment: list[str] = []
    for line in _packaged_text(name).splitlines():
        if not line.startswith("#"):
            break
        comment.append(line.lstrip("# ").rstrip())
    return " ".join(comment).split(". ")[0]
