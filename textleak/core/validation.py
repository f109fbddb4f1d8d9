"""What a person wrote against a schema: the object, or one line that says what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from textleak.core.bounds import unfit
from textleak.core.errors import ConfigError, nearest, unknown

MOST = 80  # characters of a wrong value that an error shows
Where = tuple[str | int, ...]
Schema = TypeVar("Schema", bound=BaseModel)


def validated(
    schema: type[Schema],
    data: dict[str, Any],
    what: str = "",
    named: Mapping[str, str] | None = None,
) -> Schema:
    """`data` as a `schema` of which every number is finite and fits 64 bits.

    Args:
        schema: what it is to be.
        data: the values by key.
        what: what the error begins with.
        named: what the error calls a key that was not given by its own name, as `--mask-rate`.

    Raises:
        ConfigError: a key or a value that is not valid; one line.
    """
    try:
        made = schema.model_validate(data)
    except ValidationError as error:
        raise ConfigError(what + problem(error, schema, named)[1]) from error
    odd = unfit(made.model_dump())
    if odd is not None:
        raise ConfigError(f"{what}{_path(odd[0], named)}: {odd[1]}")
    return made


def problem(
    error: ValidationError, schema: type[BaseModel], named: Mapping[str, str] | None = None
) -> tuple[Where, str]:
    """A validation's first problem: where it is, and one line that says what is wrong.

    An unknown key goes first: another that is missing is often the same one, misspelt.
    """
    first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    where = tuple(first["loc"])
    path = _path(where, named)
    if first["type"] == "extra_forbidden":
        inner = _schema_at(schema, where[:-1])
        key = str(where[-1]) if inner is not schema else path
        place = f" of {_path(where[:-1], named)}" if inner is not schema else ""
        return where, unknown(f"key{place}", key, inner.model_fields)
    if first["type"] == "missing":
        return where, f"{path}: it is missing"
    if first["type"] == "too_short":
        return where, f"{path}: expected at least one, got none"
    if first["type"] == "too_long":
        most, got = first["ctx"]["max_length"], first["ctx"]["actual_length"]
        return where, f"{path}: expected at most {most}, got {got}"
    what = lower_first(first["msg"].removeprefix("Value error, "))
    if first["type"] == "value_error":
        return where, f"{path}: {what}" if path else what
    got = repr(first.get("input"))
    shown = got if len(got) <= MOST else got[:MOST] + "…"
    choices = first.get("ctx", {}).get("expected", "") if first["type"] == "literal_error" else ""
    return where, f"{path}: {what}, got {shown}{nearest(got, choices.split(chr(39))[1::2])}"


def _path(where: Where, named: Mapping[str, str] | None) -> str:
    """Keys and places joined by points; of an option that is repeated its name alone.

    >>> _path(("classes", 1), None), _path(("classes", 1), {"classes": "--class"})
    ('classes.1', '--class')
    """
    first = str(where[0]) if where else ""
    if named is not None and first in named:
        rest = (part for part in where[1:] if isinstance(part, str))
        return ".".join([named[first], *rest])
    return ".".join(map(str, where))


def _schema_at(schema: type[BaseModel], where: Where) -> type[BaseModel]:
    """The schema of the object at the key path `where`; places in a list are passed over."""
    for part in where:
        if isinstance(part, str) and part in schema.model_fields:
            inner = _model_in(schema.model_fields[part].annotation)
            if inner is None:
                break
            schema = inner
    return schema


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The first schema that a type speaks of: `Entry` of `tuple[Entry, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(inner) for inner in get_args(annotation))
    return next((model for model in found if model is not None), None)


def lower_first(text: str) -> str:
    """The text with a small first letter.

    >>> lower_first("Input should be a valid integer")
    'input should be a valid integer'
    """
    return text[:1].lower() + text[1:]
