"""Texts as they are fed, and given back: pairs with their segments, packed rows, texts without a frame."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from families.folders import CORPUS, make_folder

from tests.sharing import share
from textleak.attacks.dlg import Dlg, DlgOptions
from textleak.attacks.subspace import Subspace, SubspaceOptions
from textleak.client.feeding import token_rows
from textleak.core.batch import TokenBatch
from textleak.core.errors import DataError
from textleak.core.feed import Feed
from textleak.models import ModelOptions, TextModel, load_model

PAIRS = [
    "two dogs ran\tone cat",
    "rain fell on the roof\tthe clock stopped",
    "he broke the cup\tshe said nothing",
    "the train was late\tnobody knew why",
]


def load(path: Path, family: str, task: str, feed: Feed, **changes: int) -> TextModel:
    sizes = {"initializer_range": 0.07, "hidden_size": 96, "dim": 96, **changes}
    if family != "distilbert":
        del sizes["dim"]
    folder = make_folder(path, family, task, **sizes)
    return load_model(ModelOptions(name=folder, feed=feed), task)


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
def test_pairs_come_back_with_their_segments(tmp_path: Path, family: str) -> None:
    model = load(tmp_path, family, "classification", Feed(pairs=True))
    private, update = share(model, PAIRS)
    found = Subspace(SubspaceOptions())(model, update)
    assert sorted(found.token_ids) == sorted(private.original_ids)
    assert found.verified
    assert [len(model.segments(ids)) for ids in found.token_ids] == [2, 2, 2, 2]


def test_a_masked_pair_comes_back(tmp_path: Path) -> None:
    model = load(tmp_path, "bert", "mlm", Feed(pairs=True))
    private, update = share(model, PAIRS[:1])
    for attack in (Subspace(SubspaceOptions()), Dlg(DlgOptions())):
        found = attack(model, update)
        assert found.token_ids == private.original_ids


def test_what_is_fed_is_what_transformers_feeds(tmp_path: Path) -> None:
    model = load(tmp_path, "bert", "classification", Feed(pairs=True))
    rows = token_rows(model, PAIRS[:1])
    theirs = model.tokenizer(*PAIRS[0].split("\t"), return_tensors="pt", return_token_type_ids=True)
    ids = torch.tensor(rows)
    assert torch.equal(ids, theirs["input_ids"])
    assert torch.equal(model.token_types(ids), theirs["token_type_ids"])  # type: ignore[arg-type]
    labels = torch.tensor([1])
    batch = TokenBatch(ids, torch.ones_like(ids), labels)
    own = model.module(**theirs, labels=labels).loss  # type: ignore[operator]
    torch.testing.assert_close(model.loss(batch), own)


@pytest.mark.parametrize("task", ["mlm", "classification"])
@pytest.mark.parametrize(
    "feed", [Feed(packed=True, max_length=16), Feed(special_tokens=False, max_length=7)]
)
def test_texts_without_a_frame_come_back(tmp_path: Path, feed: Feed, task: str) -> None:
    model = load(tmp_path, "bert", task, feed)
    private, update = share(model, CORPUS[:3])
    assert {len(ids) for ids in private.original_ids} == {feed.max_length}
    found = Subspace(SubspaceOptions())(model, update)
    assert sorted(found.token_ids) == sorted(private.original_ids)
    assert found.verified


def test_texts_are_cut_to_the_length(tmp_path: Path) -> None:
    model = load(tmp_path, "bert", "classification", Feed(max_length=6))
    assert [len(row) for row in token_rows(model, CORPUS[:2])] == [6, 6]
    with pytest.raises(DataError, match="expected two segments with a tab between them, got 1"):
        token_rows(load(tmp_path / "pairs", "bert", "classification", Feed(pairs=True)), CORPUS)
    model = load(tmp_path, "bert", "classification", Feed(max_length=99))
    with pytest.raises(DataError, match="rows of 99 tokens, the model takes at most 20"):
        token_rows(model, CORPUS[:1])
