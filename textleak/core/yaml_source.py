"""YAML that a person wrote: parsed, validated, and its lines named in every error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from textleak.core.bounds import unfit
from textleak.core.errors import ConfigError
from textleak.core.validation import problem
from textleak.core.yaml_values import parse_yaml

Schema = TypeVar("Schema", bound=BaseModel)


@dataclass(frozen=True)
class YamlSource:
    """A parsed YAML file.

    Attributes:
        shown: the file's name, as errors show it.
        data: what it sets.
        tree: the nodes, which know their lines.
    """

    shown: str
    data: dict[str, Any]
    tree: yaml.Node | None

    @classmethod
    def parse(cls, text: str, shown: str) -> YamlSource:
        """Read `text`.

        Raises:
            ConfigError: it is not YAML, or not keys with values.
        """
        try:
            loaded, tree = parse_yaml(text)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = f":{mark.line + 1}" if mark is not None else ""
            what = getattr(error, "problem", None) or "cannot be read"
            raise ConfigError(f"{shown}{line}: not valid YAML: {what}") from error
        if loaded is not None and not isinstance(loaded, dict):
            raise ConfigError(f"{shown}:1: expected keys with values, got {type(loaded).__name__}")
        return cls(shown, loaded or {}, tree)

    def validated(self, schema: type[Schema]) -> Schema:
        """The file as a `schema`.

        Raises:
            ConfigError: an unknown key or a value that is not valid; with file, line and key.
        """
        try:
            made = schema.model_validate(self.data)
        except ValidationError as error:
            where, what = problem(error, schema)
            raise self.error(where, what) from error
        odd = unfit(made.model_dump())
        if odd is not None:
            raise self.error(odd[0], f"{'.'.join(map(str, odd[0]))}: {odd[1]}")
        return made

    def error(self, where: Sequence[str | int], what: str) -> ConfigError:
        """An error that names the line of the key path `where`."""
        return ConfigError(f"{self.shown}:{self.line(where)}: {what}")

    def line(self, where: Sequence[str | int]) -> int:
        """The line, counted from 1, of the key path `where`; as deep as it can be found."""
        line, node = 1, self.tree
        for part in where:
            found: yaml.Node | None = None
            if isinstance(node, yaml.MappingNode):
                for key, value in node.value:
                    if key.value == str(part):
                        line, found = key.start_mark.line + 1, value
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
                found = node.value[part] if part < len(node.value) else None
                line = line if found is None else found.start_mark.line + 1
            if found is None:
                break
            node = found
        return line
