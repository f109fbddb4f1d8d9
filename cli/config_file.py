"""Read a run's configuration from YAML: a file, or a preset packaged with textleak."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from textleak.config import RunConfig, problem
from textleak.errors import ConfigError, unknown


def preset_names() -> list[str]:
    """The names of the packaged presets."""
    entries = files("textleak_configs").iterdir()
    return sorted(e.name.removesuffix(".yaml") for e in entries if e.name.endswith(".yaml"))


def read_config(name: str) -> dict[str, Any]:
    """What the YAML file or packaged preset called `name` sets, checked.

    Raises:
        ConfigError: no such file, not YAML, an unknown key, or a value of the wrong type; one line
            with the file, the line and the key.
    """
    text, shown = _text(name)
    try:
        loaded = yaml.safe_load(text)
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        what = getattr(error, "problem", None) or "cannot be read"
        raise ConfigError(f"{shown}{line}: not valid YAML: {what}") from error
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise ConfigError(f"{shown}:1: expected keys with values, got {type(loaded).__name__}")
    try:
        config = RunConfig.model_validate(loaded)
    except ValidationError as error:
        where, what = problem(error, RunConfig)
        raise ConfigError(f"{shown}:{_line(tree, where)}: {what}") from error
    return config.model_dump(exclude_unset=True)


def _text(name: str) -> tuple[str, str]:
    path = Path(name)
    if name in preset_names() and not path.is_file():
        return (files("textleak_configs") / f"{name}.yaml").read_text(encoding="utf-8"), name
    if not path.is_file():
        if path.suffix in (".yaml", ".yml") or "/" in name:
            raise ConfigError(f"no configuration file at {name!r}")
        raise ConfigError(unknown("configuration", name, preset_names()))
    try:
        return path.read_text(encoding="utf-8"), name
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {name!r}: {error}") from error


def _line(node: yaml.Node | None, where: Sequence[str | int]) -> int:
    """The line, counted from 1, at which the key path `where` stands; as deep as it can be found."""
    line = 1
    for part in where:
        found: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(part):
                    line, found = key.start_mark.line + 1, value
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            found = node.value[part]
            line = found.start_mark.line + 1
        if found is None:
            break
        node = found
    return line


def preset_summary(name: str) -> str:
    """The first comment of the packaged preset called `name`, in one line."""
    text, _ = _text(name)
    comment: list[str] = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        comment.append(line.lstrip("# ").rstrip())
    return " ".join(comment).split(". ")[0]
