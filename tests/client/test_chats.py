"""Conversations are read, and bear loss where the assistant speaks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from families.folders import make_folder

from textleak.attacks import ATTACKS
from textleak.client import Client, ClientOptions
from textleak.client.chats import chat_batch, read_chats
from textleak.core.batch import IGNORED
from textleak.core.errors import DataError
from textleak.models import ModelOptions, TextModel, load_model

TEMPLATE = (
    "{% for m in messages %}{{ ' ' + m['role'] + ' ' + m['content'] + ' .' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ ' assistant' }}{% endif %}"
)
TURNS = [
    {"role": "user", "content": "who sat down"},
    {"role": "assistant", "content": "the cat"},
    {"role": "user", "content": "and the dog"},
    {"role": "assistant", "content": "ran after one cat"},
]


@pytest.fixture
def model(tmp_path: Path) -> TextModel:
    loaded = load_model(ModelOptions(name=make_folder(tmp_path, "llama", "causal")), "causal")
    loaded.tokenizer.chat_template = TEMPLATE
    return loaded


def test_only_what_the_assistant_says_bears_loss(model: TextModel) -> None:
    private = chat_batch(model, [TURNS])
    (ids,) = private.original_ids
    labels = private.batch.labels[0].tolist()
    said = [label for label in labels if label != IGNORED]
    answers = model.tokenizer(" the cat . ran after one cat .", add_special_tokens=False)
    assert said == answers["input_ids"]
    assert all(label in (IGNORED, after) for label, after in zip(labels, ids[1:], strict=False))


def test_every_turn_of_a_conversation_comes_back(model: TextModel) -> None:
    private = chat_batch(model, [TURNS])
    update = Client(model, ClientOptions(seed=0)).share(private)
    kind = ATTACKS.load("subspace")
    found = kind(kind.options_class())(model, update, seed=1)
    assert found.token_ids == private.original_ids
    assert found.verified


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "not JSON"),
        ('{"text": "a"}', 'expected an object with "messages"'),
        ('{"messages": [{"role": "user"}]}', 'expected "role" and "content"'),
        ("", "no conversation"),
    ],
)
def test_a_file_that_is_none_is_refused(line: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "chats.jsonl").write_text(line)
    with pytest.raises(DataError, match=told):
        read_chats(tmp_path / "chats.jsonl")


def test_a_file_of_conversations_is_read(tmp_path: Path) -> None:
    (tmp_path / "chats.jsonl").write_text(json.dumps({"messages": TURNS}) + "\n\n")
    assert read_chats(tmp_path / "chats.jsonl") == [TURNS]


def test_what_cannot_be_trained_on_is_refused(model: TextModel) -> None:
    with pytest.raises(DataError, match="no message of the assistant"):
        chat_batch(model, [TURNS[:1]])
    with pytest.raises(DataError, match="at least one conversation"):
        chat_batch(model, [])
    model.tokenizer.chat_template = None
    with pytest.raises(DataError, match="no chat template"):
        chat_batch(model, [TURNS])
