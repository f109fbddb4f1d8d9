"""Whether something stands at a path that anybody may have written: no name is too odd to be asked for."""

from __future__ import annotations

from pathlib import Path


def is_file(path: str | Path) -> bool:
    r"""Whether there is a file; False for a name that no file can have.

    >>> is_file("x" * 300), is_file("a\0b")
    (False, False)
    """
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: str | Path) -> bool:
    """The same for a folder."""
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):
        return False
