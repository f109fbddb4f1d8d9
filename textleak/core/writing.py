"""The one place that writes files: whole or not at all, refused before any work, never lost at its end.

What stands at a path already is respected: a link is followed, and a device, FIFO or pipe is written
to where it is. Only a regular file is replaced by another.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from textleak.core.errors import ConfigError


def check_writable(path: str | Path) -> None:
    """Raise ConfigError unless a file could be written at `path`; nothing is left behind.

    Folders that do not exist yet count as writable if they could be made. What is no regular file is
    not opened: closing a FIFO again would tell its reader that all has been said.
    """
    try:
        target = _target(path)
        if target is None:
            if not os.access(path, os.W_OK):
                raise PermissionError(None, "permission denied")
            return
        folder = target.parent
        while not folder.exists():
            folder = folder.parent
        handle, probe = tempfile.mkstemp(prefix=".textleak-", dir=folder)
        os.close(handle)
        os.unlink(probe)
        _check_name(folder, target)
    except (OSError, ValueError) as error:
        raise _refusal(path, error) from error


def check_folder(folder: str | Path, first: str) -> None:
    """Raise ConfigError unless `folder` is new or empty, and the file called `first` fits into it."""
    at = Path(folder)
    try:
        if at.is_dir() and any(at.iterdir()):
            raise ConfigError(f"{str(folder)!r} is not empty: --save needs a new or empty folder")
    except (OSError, ValueError) as error:
        raise _refusal(folder, error) from error
    check_writable(at / first)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` to `path`, making its folder; a reader sees the old file or the whole new one.

    Raises:
        ConfigError: it cannot be written.
    """
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: str | Path, data: bytes) -> None:
    """The same for bytes."""
    write_with(path, lambda partial: _all_of(partial, data))


def write_with(path: str | Path, write: Callable[[Path], object]) -> None:
    """The same for what `write` puts into a file of its own.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        target = _target(path)
        if target is None:
            _into_what_is_there(Path(path), write)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            _in_place_of(target, write)
    except (OSError, ValueError) as error:
        raise _refusal(path, error) from error


def keep(name: str, text: str) -> str:
    """Put a result that could not be written where it was asked for somewhere else; say where.

    Args:
        name: what its file's name ends with.
        text: the result.
    """
    for folder in (tempfile.gettempdir(), os.getcwd()):
        with suppress(OSError):
            handle, path = tempfile.mkstemp(prefix="textleak-", suffix=f"-{name}", dir=folder)
            os.close(handle)
            try:
                _all_of(Path(path), text.encode("utf-8"))
            except OSError:
                os.unlink(path)
                raise
            return f"kept in {path!r}"
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            print_text(text, stream)
            return "printed instead"
    return "nothing else can be written either"


def print_text(text: str, stream: IO[str]) -> None:
    """Write `text` to a stream as UTF-8, whatever the stream's own encoding may lack."""
    raw = getattr(stream, "buffer", None)
    stream.flush()
    if raw is None:
        stream.write(text)
    else:
        raw.write(text.encode("utf-8"))
        raw.flush()
    stream.flush()


class Lines:
    """A file that grows line by line; a full disk ends the file, not the work that it tells of.

    Args:
        path: the file, made anew.

    Attributes:
        failure: why lines are missing; empty while none are.

    Raises:
        ConfigError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.failure = ""
        try:
            self._file = path.open("wb", buffering=0)
        except OSError as error:
            raise _refusal(path, error) from error

    def append(self, line: str) -> None:
        """Add one line; when this returns, the system has it."""
        if self.failure:
            return
        try:
            _put(self._file, (line + "\n").encode("utf-8"))
        except OSError as error:
            self.failure = str(_refusal(self.path, error))

    def close(self) -> None:
        """Nothing follows."""
        self._file.close()


def _put(file: IO[bytes], data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def _all_of(path: Path, data: bytes) -> None:
    with path.open("wb", buffering=0) as file:
        _put(file, data)


def _target(path: str | Path) -> Path | None:
    """The regular file that is or will be at the end of `path`'s links; None for what is none.

    An open file of this process (`/dev/stdout`, `/dev/fd/3`) is written to as it is, too.
    """
    given = Path(path)
    real = Path(os.path.realpath(given))
    opened = given.absolute().parts[1:2] in (("dev",), ("proc",))
    if not os.path.lexists(real) and not os.path.exists(given):
        return real
    mode = given.stat().st_mode
    for kind, name in ((stat.S_ISDIR, "a folder"), (stat.S_ISSOCK, "a socket")):
        if kind(mode):
            raise IsADirectoryError(None, f"it is {name}")
    if stat.S_ISBLK(mode):
        raise IsADirectoryError(None, "it is a disk")
    return real if stat.S_ISREG(mode) and not opened else None


def _check_name(folder: Path, target: Path) -> None:
    """Raise OSError where a part of the path that is still to be made has a name too long."""
    longest = os.pathconf(folder, "PC_NAME_MAX")
    for part in target.relative_to(folder).parts:
        if len(os.fsencode(part)) > longest:
            raise OSError(None, f"a name has more than {longest} bytes")


def _in_place_of(target: Path, write: Callable[[Path], object]) -> None:
    partial = target.with_name(f".textleak-{os.getpid()}-{os.urandom(4).hex()}.part")
    try:
        partial.touch(mode=0o666, exist_ok=False)
        if target.exists():
            partial.chmod(stat.S_IMODE(target.stat().st_mode))
        write(partial)
        _sync(partial)  # a full disk may show only here
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _into_what_is_there(path: Path, write: Callable[[Path], object]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole"
        write(whole)
        flags = os.O_WRONLY | (os.O_APPEND if path.is_file() else 0)
        with whole.open("rb") as source, open(os.open(path, flags), "wb") as file:
            shutil.copyfileobj(source, file)


def _refusal(path: str | Path, error: Exception) -> ConfigError:
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return ConfigError(f"cannot write {str(path)!r}: {reason}")
