"""Lazy registries: a name maps to `module:attribute`, imported when it is asked for.

An outside package adds an entry by an entry point of the registry's group; installed packages are looked
through when a name is asked for that is not our own, or when all are listed.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from importlib.metadata import entry_points
from typing import Generic, TypeVar, cast

from textleak.core.errors import ConfigError, unknown

T = TypeVar("T")


class Registry(Generic[T]):
    """The entries of one kind (attacks, defences …), by name.

    Args:
        kind: what an entry is called in an error message.
        entries: name to `"package.module:attribute"`.
        group: the entry points that add to them, `textleak.attacks` and the like; an outside entry
            never takes the place of one of our own.
        belongs: which entries of the group are meant for here, where several registries share it.
    """

    def __init__(
        self,
        kind: str,
        entries: Mapping[str, str],
        group: str | None = None,
        belongs: Callable[[T], bool] | None = None,
    ) -> None:
        self.kind = kind
        self._own = dict(entries)
        self._group = group
        self._belongs = belongs

    @cached_property
    def _entries(self) -> dict[str, str]:
        outside = entry_points(group=self._group) if self._group else ()
        return {**{point.name: point.value for point in outside}, **self._own}

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, name: object) -> bool:
        return name in self._own or self._meant(str(name))

    def names(self) -> list[str]:
        """The names, our own first, in the order of their registration."""
        return [
            *self._own,
            *(name for name in self._entries if name not in self._own and self._meant(name)),
        ]

    def _meant(self, name: str) -> bool:
        """Whether an outside entry is one of here; one that cannot be loaded is, to say so when asked for."""
        if name not in self._entries or self._belongs is None:
            return name in self._entries
        try:
            return self._belongs(self._outside(name))
        except ConfigError:
            return True

    def check(self, name: str) -> str:
        """Return `name`; raise ConfigError with the nearest valid name if it is not registered."""
        if name not in self:
            raise ConfigError(unknown(self.kind, name, self.names()))
        return name

    def load(self, name: str) -> T:
        """Import and return the entry called `name`.

        Raises:
            ConfigError: no entry has that name, or an outside package's cannot be imported.
        """
        if self.check(name) in self._own:
            module, attribute = self._own[name].split(":")
            return cast(T, getattr(importlib.import_module(module), attribute))
        return self._outside(name)

    def _outside(self, name: str) -> T:
        where = self._entries[name]
        try:
            module, attribute = where.split(":")
            return cast(T, getattr(importlib.import_module(module), attribute))
        except (ImportError, AttributeError, ValueError) as error:
            raise ConfigError(
                f"the {self.kind} {name!r} of an outside package cannot be loaded from {where!r}"
            ) from error
