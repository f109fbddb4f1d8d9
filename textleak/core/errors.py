"""Errors that a user can mend, and the nearest-name hint that they carry."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class TextleakError(Exception):
    """Something the user can mend; the command line shows its one line and exits with code 2."""


class ConfigError(TextleakError):
    """A name, an option or a configuration key that is not valid."""


class ModelError(TextleakError):
    """A model that cannot be loaded or does not fit the task."""


class UpdateError(TextleakError):
    """A shared update that cannot be read or does not fit the model."""


class DataError(TextleakError):
    """A private text or image that cannot be used."""


class BudgetError(TextleakError):
    """An attack whose budget was spent before it had found anything."""


def unknown(kind: str, got: str, known: Iterable[str]) -> str:
    """One line that says which names are valid and which is nearest to `got`.

    >>> unknown("attack", "dgl", ["dlg", "subspace"])
    "unknown attack 'dgl'; did you mean 'dlg'? (known: dlg, subspace)"
    """
    names = list(known)
    return f"unknown {kind} {got!r}{nearest(got, names)} (known: {', '.join(names)})"


def nearest(got: str, known: Iterable[str]) -> str:
    """A hint at the known name that is nearest to `got`, or nothing.

    >>> nearest("jiont", ["joint", "known"]), nearest("x", ["joint"])
    ("; did you mean 'joint'?", '')
    """
    close = difflib.get_close_matches(got, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
