"""Lazy registries: a name maps to `module:attribute`, imported when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar, cast

from textleak.core.errors import ConfigError, unknown

T = TypeVar("T")


class Registry(Generic[T]):
    """The entries of one kind (attacks, defences …), by name.

    Args:
        kind: what an entry is called in an error message.
        entries: name to `"package.module:attribute"`.
    """

    def __init__(self, kind: str, entries: Mapping[str, str]) -> None:
        self.kind = kind
        self._entries = dict(entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def names(self) -> list[str]:
        """The names, in the order of their registration."""
        return list(self._entries)

    def check(self, name: str) -> str:
        """Return `name`; raise ConfigError with the nearest valid name if it is not registered."""
        if name not in self._entries:
            raise ConfigError(unknown(self.kind, name, self._entries))
        return name

    def load(self, name: str) -> T:
        """Import and return the entry called `name`.

        Raises:
            ConfigError: no entry has that name.
        """
        module, attribute = self._entries[self.check(name)].split(":")
        return cast(T, getattr(importlib.import_module(module), attribute))
