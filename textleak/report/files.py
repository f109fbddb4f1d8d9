"""Write files whole or not at all, and refuse what cannot be written before any work is done."""

from __future__ import annotations

import os
from pathlib import Path

from textleak.errors import ConfigError


def check_writable(path: str | Path) -> None:
    """Raise ConfigError unless a file could be written at `path`; nothing is left behind.

    Folders that do not exist yet count as writable if they could be made.
    """
    target = Path(path)
    if target.is_dir():
        raise ConfigError(f"cannot write {str(path)!r}: it is a folder")
    folder = target.parent
    while not folder.exists():
        folder = folder.parent
    probe = folder / f".textleak-{os.getpid()}.probe"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ConfigError(f"cannot write {str(path)!r}: {error.strerror or error}") from error


def write_text(path: str | Path, text: str) -> None:
    """Write `text` to `path`, making its folder; a reader sees the old file or the whole new one.

    Raises:
        ConfigError: it cannot be written.
    """
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: str | Path, data: bytes) -> None:
    """The same for bytes."""
    target = Path(path)
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        os.replace(partial, target)
    except OSError as error:
        raise ConfigError(f"cannot write {str(path)!r}: {error.strerror or error}") from error
    finally:
        if partial.parent.is_dir():
            partial.unlink(missing_ok=True)
