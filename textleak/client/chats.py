"""Conversations as a client trains on them: a chat template's text, loss on the answers alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from textleak.client.client import PrivateBatch
from textleak.core.batch import IGNORED, TokenBatch, padded
from textleak.core.errors import DataError
from textleak.models.text_model import TextModel

Message = Mapping[str, str]


def read_chats(path: str | Path) -> list[list[Message]]:
    """The conversations of a `.jsonl` file, each line `{"messages": [{"role": …, "content": …}, …]}`.

    Raises:
        DataError: the file cannot be read, or a line of it is not as expected.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise DataError(f"cannot read conversations from {str(path)!r}: {error}") from error
    chats = [_chat(f"{path}:{n}", line) for n, line in enumerate(lines, 1) if line.strip()]
    if not chats:
        raise DataError(f"no conversation in {str(path)!r}")
    return chats


def _chat(where: str, line: str) -> list[Message]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON") from error
    messages = entry.get("messages") if isinstance(entry, dict) else None
    if not isinstance(messages, list) or not messages:
        raise DataError(f'{where}: expected an object with "messages", got {line[:60]}')
    for message in messages:
        texts = [message.get(k) if isinstance(message, dict) else 0 for k in ("role", "content")]
        if not all(isinstance(text, str) for text in texts):
            raise DataError(f'{where}: expected "role" and "content", got {str(message)[:60]}')
    return messages


def chat_batch(model: TextModel, chats: Sequence[Sequence[Message]]) -> PrivateBatch:
    """The batch that trains on the assistant's messages, with all before them as their prompts.

    Raises:
        DataError: the tokenizer has no chat template or refuses a conversation, nothing in one is the
            assistant's, one is too long, or the task is not the next token.
    """
    if model.task.bears != "tokens" or not model.family.causal:
        raise DataError(f"conversations train next tokens, not {model.task.name}")
    rows = [_row(model, chat, f"conversation {n}") for n, chat in enumerate(chats, 1)]
    if not rows:
        raise DataError("expected at least one conversation, got none")
    texts = [ids for ids, _ in rows]
    ids, mask = padded(texts, int(model.tokenizer.pad_token_id))
    labels, _ = padded([labels for _, labels in rows], IGNORED)
    return PrivateBatch(TokenBatch(ids, mask, labels), texts)


def _row(model: TextModel, chat: Sequence[Message], name: str) -> tuple[list[int], list[int]]:
    """The ids of a conversation, and for each the next one where it is the assistant's."""
    ids = _ids(model, chat, name)
    if len(ids) > model.max_length:
        raise DataError(f"{name} has {len(ids)} tokens, the model takes at most {model.max_length}")
    labels = [IGNORED] * len(ids)
    for end, message in enumerate(chat, 1):
        if message["role"] != "assistant":
            continue
        before = _ids(model, chat[: end - 1], name, answer=True) if end > 1 else []
        behind = _ids(model, chat[:end], name)
        if ids[: len(behind)] != behind or behind[: len(before)] != before:
            raise DataError(f"{name}: the chat template changes a message by what follows it")
        labels[max(len(before) - 1, 0) : len(behind) - 1] = behind[max(len(before), 1) :]
    if all(label == IGNORED for label in labels):
        raise DataError(f"{name} has no message of the assistant")
    return ids, labels


def _ids(model: TextModel, chat: Sequence[Message], name: str, answer: bool = False) -> list[int]:
    if not model.tokenizer.chat_template:
        raise DataError("the tokenizer has no chat template: expected that of a chat model")
    messages: Any = [dict(message) for message in chat]
    try:
        text = model.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=answer
        )
    except Exception as error:  # a template raises what it likes
        raise DataError(f"{name}: the chat template refuses it") from error
    encoded = model.tokenizer(str(text), add_special_tokens=False)
    return [int(i) for i in encoded["input_ids"]]
