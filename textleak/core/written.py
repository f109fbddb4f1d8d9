"""Options written in a line, as `key=value,key=value`: of defences and adapters alike."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

from textleak.core.errors import ConfigError, unknown
from textleak.core.validation import MOST, Schema, validated
from textleak.core.yaml_values import parse_yaml


def written_options(schema: type[Schema], name: str, settings: str, usage: str) -> Schema:
    """The options of `name` in `settings`.

    Args:
        schema: which options there are; one that is text is taken as it stands.
        name: whose options they are, for errors.
        settings: as `key=value,key=value`; may be empty.
        usage: what is said of a setting without a key or a value.

    Raises:
        ConfigError: a setting that is not written so, an unknown option, or a value that is not valid.
    """
    fields = schema.model_fields
    given: dict[str, Any] = {}
    for setting in filter(None, settings.split(",")):
        key, equals, value = (part.strip() for part in setting.partition("="))
        if not equals or not value:
            raise ConfigError(usage)
        if key not in fields:
            raise ConfigError(unknown(f"option of {name}", key, fields))
        given[key] = value if fields[key].annotation is str else _value(value)
    return validated(schema, given, f"option of {name}: ")


def _value(text: str) -> Any:
    """A number or a word; a shell pattern may not be YAML."""
    try:
        return parse_yaml(text)[0]
    except yaml.YAMLError:
        return text


def parse_settings(settings: Iterable[str]) -> dict[str, Any]:
    """Options given one by one as `key=value`, the value read as YAML.

    >>> parse_settings(["restarts=4", "distance=cosine"])
    {'restarts': 4, 'distance': 'cosine'}

    Raises:
        ValueError: one that is not written so.
    """
    parsed = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key.strip():
            raise ValueError(f"expected key=value, got {setting[:MOST]!r}")
        try:
            parsed[key.strip()] = parse_yaml(value)[0]
        except yaml.YAMLError as error:
            what = getattr(error, "problem", None) or "not text"
            raise ValueError(f"{key}: cannot read {value[:MOST]!r}: {what}") from error
    return parsed
