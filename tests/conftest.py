"""A tiny BERT in a folder, an attack that pretends, and the command line in this process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from fake_attack import FakeAttack
from hypothesis import settings
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    PreTrainedTokenizerFast,
)

from textleak.attacks import ATTACKS
from textleak.client import Client, PrivateBatch
from textleak.models import ModelOptions, TextModel, load_model

# How long an example takes says how busy the machine is, and nothing of what is tested.
settings.register_profile("no clock", deadline=None)
settings.load_profile("no clock")

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [
    "the",
    "a",
    "cat",
    "dog",
    "sat",
    "ran",
    "on",
    "mat",
    "cup",
    "and",
    "broke",
    "chair",
    "pushed",
    "tu",
    "##tor",
    "##ial",
    "##s",
    ".",
    ",",
    "!",
]


@pytest.fixture(autouse=True, scope="module")
def _threads() -> None:
    """One, unless the environment asks for more, whatever a run in another module has set."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """A WordPiece tokenizer of 25 pieces, as BERT's."""
    vocabulary = {word: index for index, word in enumerate(SPECIAL + WORDS)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


def tiny_config(**changes: Any) -> BertConfig:
    """A BERT of one layer of width 16, 24 positions."""
    sizes = dict(
        vocab_size=len(SPECIAL) + len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=24,
        initializer_range=0.3,
    )
    return BertConfig(**{**sizes, **changes})


@pytest.fixture(scope="session")
def mlm_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A masked-LM BERT with its tokenizer, as save_pretrained writes it."""
    folder = tmp_path_factory.mktemp("models") / "mlm"
    torch.manual_seed(7)
    BertForMaskedLM(tiny_config()).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def classifier_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A classifier of three classes with its tokenizer."""
    folder = tmp_path_factory.mktemp("models") / "classifier"
    torch.manual_seed(0)
    BertForSequenceClassification(tiny_config(num_labels=3)).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def mlm(mlm_folder: str) -> TextModel:
    return load_model(ModelOptions(name=mlm_folder), "mlm")


@pytest.fixture(scope="session")
def classifier(classifier_folder: str) -> TextModel:
    return load_model(ModelOptions(name=classifier_folder), "classification")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Register the attack `fake`, which is told the truth of every batch that a client prepares."""
    prepare = Client.prepare

    def telling(client: Client, *args: Any, **kwargs: Any) -> PrivateBatch:
        private = prepare(client, *args, **kwargs)
        FakeAttack.truths.append(private.batch)
        return private

    monkeypatch.setitem(ATTACKS._entries, "fake", "fake_attack:FakeAttack")
    monkeypatch.setattr(Client, "prepare", telling)
    FakeAttack.truths.clear()
    yield
    FakeAttack.truths.clear()


class Outcome(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str


@pytest.fixture
def textleak(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Outcome]:
    """Run the command line in this process, in an empty folder, 80 columns wide."""
    from textleak_cli.main import run

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def call(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call
