"""How a field of a configuration is given on a command line: declared once, where the field is."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel

TEXT, IMAGES, MODEL, CLIENT, ATTACK, GRID, SHOW = (
    "Text", "Images", "Model", "Client", "Attack", "Grid", "Output"
)  # fmt: skip
GROUPS = (TEXT, IMAGES, MODEL, CLIENT, ATTACK, GRID, SHOW)  # as the help shows them


@dataclass(frozen=True)
class Option:
    """Stands in the annotation of a field that a command line may set.

    Its type, choices and bounds are the field's own, and so is what is said of a wrong value.

    Attributes:
        help: what it is, in a line.
        group: the heading of the help that it stands under.
        names: as `--class`, `-m`, `--dropout/--no-dropout`; what is not said is `--field-name`.
    """

    help: str
    group: str
    names: tuple[str, ...] = ()

    def named(self, field: str) -> tuple[str, ...]:
        """All its names, the long one first, where `field` is the field's name.

        >>> Option("…", MODEL, ("-m",)).named("model"), Option("…", MODEL).named("num_labels")
        (('--model', '-m'), ('--num-labels',))
        """
        given = any(name.startswith("--") for name in self.names)
        return self.names if given else ("--" + field.replace("_", "-"), *self.names)


def options_of(schema: type[BaseModel]) -> dict[str, Option]:
    """The options of a configuration by field, group after group."""
    found = {
        name: option
        for name, field in schema.model_fields.items()
        for option in field.metadata
        if isinstance(option, Option)
    }
    return dict(sorted(found.items(), key=lambda entry: GROUPS.index(entry[1].group)))
