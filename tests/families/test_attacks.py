"""Every family comes back: exactly by `subspace` where layer 0 tells places, by `dlg` everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from families.folders import CORPUS, make_folder, tokenizer
from transformers import GPT2Config, GPT2LMHeadModel

from tests.sharing import share
from textleak.attacks.auto import Auto, AutoOptions
from textleak.attacks.dlg import Dlg, DlgOptions
from textleak.attacks.subspace import Subspace, SubspaceOptions
from textleak.core.errors import UpdateError
from textleak.evidence.batch_words import used_words
from textleak.models import ModelOptions, TextModel, load_model

PLACED = ["bert", "roberta", "xlm-roberta", "camembert", "distilbert", "electra", "albert", "mpnet"]
SHORT = "two dogs ran"


def load(path: Path, family: str, task: str, **changes: int) -> TextModel:
    folder = make_folder(path, family, task, **{"initializer_range": 0.07, **changes})
    return load_model(ModelOptions(name=folder), task)


@pytest.mark.parametrize("task", ["mlm", "classification"])
@pytest.mark.parametrize("family", PLACED)
def test_subspace_is_exact_where_layer_0_tells_places(
    tmp_path: Path, family: str, task: str
) -> None:
    model = load(tmp_path, family, task)
    private, update = share(model, CORPUS[:2])
    found = Subspace(SubspaceOptions())(model, update)
    assert sorted(found.token_ids) == sorted(private.original_ids)
    assert found.verified


@pytest.mark.parametrize("family", ["xlm-roberta", "albert"])
def test_a_batch_may_use_most_of_a_tied_vocabulary(tmp_path: Path, family: str) -> None:
    model = load(tmp_path, family, "mlm", hidden_size=96, embedding_size=80)
    private, update = share(model, CORPUS)
    present = private.batch.input_ids[private.batch.attention_mask.bool()].unique()
    assert 2 * len(present) > len(model.word_table)  # absent words' rows are no majority
    used = used_words(model, update)
    assert used is not None
    assert used.ids.tolist() == present.tolist()


@pytest.mark.parametrize("task", ["multi-label", "regression"])
def test_subspace_reads_the_labels_of_sequences(tmp_path: Path, task: str) -> None:
    model = load(tmp_path, "roberta", task)
    private, update = share(model, CORPUS[:2])
    found = Subspace(SubspaceOptions())(model, update)
    truth = dict(zip(map(tuple, private.original_ids), model.task.rows(private.batch), strict=True))
    assert set(map(tuple, found.token_ids)) == set(truth)
    for ids, labels in zip(found.token_ids, found.labels, strict=True):
        assert labels == pytest.approx(truth[tuple(ids)], abs=1e-3)


@pytest.mark.parametrize("family", ["deberta-v2", "modernbert", "convbert"])
def test_subspace_says_what_lacks(tmp_path: Path, family: str) -> None:
    model = load(tmp_path, family, "classification")
    _, update = share(model, [SHORT])
    with pytest.raises(UpdateError, match="does not tell places: expected a position table"):
        Subspace(SubspaceOptions())(model, update)


@pytest.mark.parametrize(
    ("family", "task"),
    [
        ("roberta", "multi-label"),
        ("distilbert", "classification"),
        ("electra", "mlm"),
        ("albert", "token-classification"),
        ("mpnet", "regression"),
        ("deberta-v2", "mlm"),
        ("modernbert", "classification"),
        ("convbert", "classification"),
    ],
)
def test_dlg_matches_every_family_and_task(tmp_path: Path, family: str, task: str) -> None:
    model = load(tmp_path, family, task)
    private, update = share(model, [SHORT])
    found = Dlg(DlgOptions())(model, update)
    assert found.token_ids == private.original_ids
    assert found.gradient_error < 1e-3


def test_a_decoder_without_handles_comes_back_from_its_next_tokens(tmp_path: Path) -> None:
    words = tokenizer()
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(words),
        n_positions=24,
        n_embd=64,
        n_layer=2,
        n_head=4,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=1,
        initializer_range=0.07,
    )
    GPT2LMHeadModel(config).save_pretrained(tmp_path)
    words.save_pretrained(tmp_path)
    model = load_model(ModelOptions(name=str(tmp_path)), "causal")
    private, update = share(model, [SHORT])
    ids, mask = private.batch.input_ids, private.batch.attention_mask
    theirs = model.module(input_ids=ids, attention_mask=mask, labels=ids).loss
    torch.testing.assert_close(model.loss(private.batch), theirs)
    assert Dlg(DlgOptions())(model, update).token_ids == private.original_ids


def test_auto_goes_on_with_dlg_where_subspace_cannot(tmp_path: Path) -> None:
    model = load(tmp_path, "modernbert", "classification")
    private, update = share(model, [SHORT])
    found = Auto(AutoOptions())(model, update)
    assert found.token_ids == private.original_ids
    assert any("dlg alone" in note for note in found.candidate.notes)
