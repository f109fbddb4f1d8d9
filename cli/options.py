"""Commands whose options are those of a configuration: made from its fields, never declared again."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.core import TyperCommand

from textleak.core.errors import ConfigError
from textleak.core.option import ATTACK, GROUPS, Option, options_of
from textleak.core.run_options import RunOptions
from textleak.core.validation import Schema, validated
from textleak.core.written import parse_settings

from .config_file import read_config

Run = TypeVar("Run", bound=RunOptions)
_UNSAID = 10**6  # an upper bound from here on is beyond what anyone gives, and is not shown
_SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}  # by what marks of a bound call it
_SHOWN = {int: "<int>", float: "<float>", bool: None}

Config: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--config", "-c", help="A YAML file or a packaged preset.", rich_help_panel=ATTACK
    ),
]
Received: TypeAlias = Annotated[
    Path | None,
    typer.Argument(help="Gradients or weights: .safetensors, .npz, .pt, .bin, a folder."),
]
Before: TypeAlias = Annotated[
    Path | None, typer.Option(help="With --after: the checkpoint that training began with.")
]
After: TypeAlias = Annotated[
    Path | None, typer.Option(help="The checkpoint that training ended with, file or folder.")
]


@dataclass(frozen=True)
class Given:
    """What of a configuration stands on the command line.

    Attributes:
        schema: the configuration.
        values: by field; those not given are not there.
        names: what the command line calls each of its fields.
    """

    schema: type[BaseModel]
    values: dict[str, Any]
    names: Mapping[str, str]

    def made(self, schema: type[Schema]) -> Schema:
        """The configuration, all else its defaults.

        Raises:
            ConfigError: a value that is not valid.
        """
        return validated(schema, self.values, named=self.names)

    def over(self, name: str | None, schema: type[Run]) -> Run:
        """The configuration with what is given over the YAML file or preset called `name`.

        Raises:
            ConfigError: a key or value that is not valid, wherever it stands.
        """
        base = schema.model_validate(read_config(name, schema) if name else {})
        try:
            options = parse_settings(self.values.get("options", ()))
        except ValueError as error:
            raise ConfigError(f"{self.names['options']}: {error}") from error
        return base.merged({**self.values, "options": options}, self.names)


@dataclass(frozen=True)
class Part:
    """Some fields of a configuration, as options of a command."""

    schema: type[BaseModel]
    options: dict[str, Option] = field(default_factory=dict)

    def parameters(self) -> Iterator[inspect.Parameter]:
        """Each as typer is told of a command's parameters."""
        for name, option in self.options.items():
            kind, told = _told(self.schema.model_fields[name])
            shown = typer.Option(
                *option.named(name),
                rich_help_panel=option.group,
                show_default=False,
                **told(option),
            )
            yield inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=Annotated[kind, shown],
            )

    def taken_from(self, values: dict[str, Any]) -> Given:
        """What of this part is among a command's `values`, which lose it."""
        own = {name: values.pop(name) for name in self.options}
        names = {name: option.named(name)[0].split("/")[0] for name, option in self.options.items()}
        given = {key: value for key, value in own.items() if value is not None and value != []}
        return Given(self.schema, given, names)


def of(
    schema: type[BaseModel],
    *,
    only: Iterable[str] | None = None,
    without: Iterable[str] = (),
    also: Mapping[str, str] | None = None,
) -> Part:
    """The options of `schema` that a command takes.

    Args:
        schema: the configuration.
        only: fields; all where not given.
        without: fields left out.
        also: another name of a field's option.
    """
    declared = options_of(schema)
    wanted = set(declared if only is None else only) - set(without)
    assert wanted | set(without) <= set(declared), "a field without an Option"
    options = {name: option for name, option in declared.items() if name in wanted}
    for name, more in (also or {}).items():
        old = options[name]
        options[name] = Option(old.help, old.group, (*old.named(name), more))
    return Part(schema, options)


def command(app: typer.Typer, **parts: Part) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the decorated function to `app` as a command that takes `parts` besides its own parameters.

    The function gets, under the name of each part, what of it was given.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        own = inspect.signature(function, eval_str=True).parameters.values()
        made = [parameter for part in parts.values() for parameter in part.parameters()]
        kept = [p.replace(kind=p.KEYWORD_ONLY) for p in own if p.name not in parts]

        def called(**values: Any) -> Any:
            given = {name: part.taken_from(values) for name, part in parts.items()}
            return function(**given, **values)

        called.__doc__, called.__name__ = function.__doc__, function.__name__
        called.__signature__ = inspect.Signature([*made, *kept])  # type: ignore[attr-defined]
        called.__annotations__ = {p.name: p.annotation for p in (*made, *kept)}
        app.command(cls=Grouped, context_settings={"max_content_width": 100})(called)
        return function

    return decorate


class Grouped(TyperCommand):
    """A command whose help lists its options under the headings of their groups."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then the groups in their order, then what belongs to none."""
        rows: dict[str, list[tuple[str, str]]] = {"Arguments": [], **{g: [] for g in GROUPS}}
        rows["Options"] = []
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                group = getattr(parameter, "rich_help_panel", None) or "Options"
                argument = parameter.param_type_name == "argument"
                rows["Arguments" if argument else group].append(record)
        for group, lines in rows.items():
            if lines:
                with formatter.section(group):
                    formatter.write_dl(lines, col_max=34)


def _told(field: FieldInfo) -> tuple[Any, Callable[[Option], dict[str, Any]]]:
    """The type that typer reads, and what it shows; whether a value is valid the configuration says."""
    inner, many = _inner(field.annotation)
    if inner is bool:
        return bool | None, lambda option: {"help": option.help}
    bounds = _bounds([field.annotation, *field.metadata])
    shown = (
        "<" + "|".join(map(str, get_args(inner))) + ">" if get_origin(inner) is Literal else None
    )
    metavar = shown or _SHOWN.get(inner, "<path>" if inner.__name__ == "Path" else "<str>")
    kind = list[str] | None if many else str | None
    return kind, lambda option: {"help": f"{option.help}{bounds}", "metavar": metavar}


def _inner(annotation: Any) -> tuple[Any, bool]:
    """The type of one value, and whether there are many: int and True of `tuple[Seed, ...] | None`."""
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _inner(inside[0])
    if origin is tuple:
        return _inner(inside[0])[0], True
    if origin is dict:
        return str, True
    if origin is Union or type(annotation).__name__ == "UnionType":
        return _inner(next(each for each in inside if each is not type(None)))
    return annotation, False


def _bounds(parts: Iterable[Any]) -> str:
    """The bounds among a field's types and marks, as ` [1<=x<=8]`."""
    found = [(sign, limit) for sign, limit in _limits(parts) if limit < _UNSAID]
    low = [(sign, limit) for sign, limit in found if sign[0] == ">"]
    high = [f"{sign}{limit}" for sign, limit in found if sign[0] == "<"]
    if low and high:
        return f" [{low[0][1]}{low[0][0].replace('>', '<')}x{high[0]}]"
    return "".join(f" [x{bound}]" for bound in [*(f"{sign}{limit}" for sign, limit in low), *high])


def _limits(parts: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    for part in parts:
        if isinstance(part, FieldInfo):
            yield from _limits(part.metadata)
        elif get_origin(part) is not None:
            yield from _limits(get_args(part))
        else:
            marked = ((sign, getattr(part, name, None)) for name, sign in _SIGNS.items())
            yield from ((sign, bound) for sign, bound in marked if bound is not None)
