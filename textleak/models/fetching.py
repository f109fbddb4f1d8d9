"""The one place that loads something by name from disk or the Hub; it runs no code that lies there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from textleak.core.errors import ModelError
from textleak.core.paths import is_folder

_MAY_NAME_CODE = ("config.json", "tokenizer_config.json", "preprocessor_config.json")
_CODE = "auto_map"  # the key under which these files name classes in files of their own


def fetched(kind: Any, source: str, *, local: bool, **options: Any) -> Any:
    """`kind.from_pretrained` of `source`, never with code of its own.

    Args:
        kind: one of transformers' classes.
        source: a folder or Hub id.
        local: read from this machine only.
        options: anything else that `kind` takes.

    Raises:
        ModelError: what lies there wants to run code of its own.
        Exception: whatever the library makes of it.
    """
    if is_folder(source):
        for name in _MAY_NAME_CODE:
            if _names_code(Path(source) / name):
                raise _refusal(source)
    try:
        found = kind.from_pretrained(
            source, trust_remote_code=False, local_files_only=local, **options
        )
    except ValueError as error:
        if "trust_remote_code" in str(error):
            raise _refusal(source) from error
        raise
    described = found[0] if isinstance(found, tuple) else found
    for facts in (described, getattr(described, "config", None)):
        if getattr(facts, _CODE, None):
            raise _refusal(source)
    return found


def _names_code(path: Path) -> bool:
    try:
        return _CODE in json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, RecursionError):
        return False  # the library says what is wrong with it


def _refusal(source: str) -> ModelError:
    return ModelError(
        f"{source!r} wants to run Python code of its own ({_CODE}): expected a model of a family "
        "that transformers knows, as textleak runs no code from a model"
    )
