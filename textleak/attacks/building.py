"""An attack from its name and options, whatever it recovers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textleak.core.errors import ConfigError, unknown
from textleak.core.registry import Registry
from textleak.core.validation import validated


def built(attacks: Registry[Any], name: str, options: Mapping[str, Any]) -> Any:
    """The attack of `attacks` called `name`, with `options`.

    Raises:
        ConfigError: no such attack, an unknown option, or a value that is not valid.
    """
    kind = attacks.load(name)
    schema = kind.options_class
    for key in options:
        if key not in schema.model_fields:
            raise ConfigError(unknown(f"option of {name}", key, schema.model_fields))
    return kind(validated(schema, dict(options), f"option of {name}: "))
