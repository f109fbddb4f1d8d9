"""Updates that show little: `subspace` gives what there is, `auto` goes on, and nothing crashes."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from conftest import tiny_config, tiny_tokenizer
from transformers import BertForMaskedLM

from tests.sharing import share
from textleak.attacks.auto import Auto, AutoOptions
from textleak.attacks.dlg import Dlg, DlgOptions
from textleak.attacks.subspace import Subspace, SubspaceOptions
from textleak.client import Client
from textleak.core.errors import DataError, UpdateError
from textleak.core.randomness import stream
from textleak.core.threat_model import ThreatModel
from textleak.defences import Defences
from textleak.models import ModelOptions, TextModel, load_model
from textleak.tasks.base import Chances

SENTENCE = "the cat sat on the mat"
QUICK = AutoOptions(dlg=DlgOptions(rounds=1, iterations=2, restarts=1))


@pytest.fixture(scope="module")
def untied(tmp_path_factory: pytest.TempPathFactory) -> TextModel:
    """A masked-LM BERT whose decoder has weights and a bias of its own."""
    folder = tmp_path_factory.mktemp("models") / "untied"
    torch.manual_seed(0)
    BertForMaskedLM(tiny_config(tie_word_embeddings=False)).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return load_model(ModelOptions(name=str(folder)), "mlm")


def defended(*specs: str) -> dict[str, Any]:
    return {"defences": Defences.parse(specs)}


def sharing(*patterns: str, lengths: bool = True) -> dict[str, Any]:
    return {"threat_model": ThreatModel(shared=patterns, lengths=lengths, batch_size=lengths)}


CASES = {
    "head withheld": defended("withhold:pattern=cls.*"),
    "words alone": sharing("*word_embeddings*"),
    "words alone, no lengths": sharing("*word_embeddings*", lengths=False),
    "places alone": sharing("*position*"),
    "embeddings": sharing("*embeddings*"),
    "biases": sharing("*bias"),
    "head alone": sharing("cls*"),
    "all zero": defended("clip:norm=1e-9", "fp16"),
    "nearly all pruned": defended("topk:ratio=1e-6"),
    "noise": defended("gaussian:std=100"),
    "int8": defended("int8"),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", ["tied", "untied"])
def test_little_is_no_crash(case: str, kind: str, mlm: TextModel, untied: TextModel) -> None:
    model = mlm if kind == "tied" else untied
    private, update = share(model, [SENTENCE], **CASES[case])
    found = Subspace(SubspaceOptions())(model, update)
    if update.metadata.lengths is not None:
        assert max(found.candidate.batch.lengths) <= max(private.batch.lengths)
    assert Auto(QUICK)(model, update).candidate.notes


def test_an_untied_decoder_is_read_exactly(untied: TextModel) -> None:
    assert not untied.family.head.tied
    private, update = share(untied, [SENTENCE])
    found = Subspace(SubspaceOptions())(untied, update)
    assert found.token_ids == private.original_ids
    assert found.verified


def test_loss_on_every_token(untied: TextModel) -> None:
    from textleak.client import ClientOptions

    client = Client(untied, ClientOptions(seed=0, mask_rate=1.0))
    private = client.prepare([SENTENCE])
    found = Subspace(SubspaceOptions())(untied, client.share(private))
    assert found.token_ids == private.original_ids


def test_nothing_to_mask_is_refused(mlm: TextModel) -> None:
    ids = torch.tensor([[mlm.tokenizer.cls_token_id, mlm.tokenizer.sep_token_id]])
    with pytest.raises(DataError, match="no token of the batch can be masked"):
        mlm.task.batch(mlm, ids, torch.ones_like(ids), None, Chances(partial(stream, 0), 0.15))


def test_auto_goes_on_where_an_attack_refuses(
    mlm: TextModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, update = share(mlm, [SENTENCE])

    def refuse(*_: Any) -> None:
        raise UpdateError("no tensor of layer 0")

    monkeypatch.setattr(Subspace, "run", refuse)
    found = Auto(QUICK)(mlm, update)
    assert found.candidate.notes[-1] == "subspace: no tensor of layer 0; dlg alone"
    assert found.candidate.batch.lengths == private.batch.lengths
    monkeypatch.setattr(Dlg, "run", refuse)
    with pytest.raises(UpdateError, match="subspace: no tensor of layer 0; dlg: no tensor of la"):
        Auto(QUICK)(mlm, update)
