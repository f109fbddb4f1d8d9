"""An attack that diverges says so, and hands back what it had; every view can draw it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.sharing import share
from textleak.attacks import ATTACKS
from textleak.attacks.dlg.attack import Continuous
from textleak.attacks.matching.lbfgs import Iterate
from textleak.audit.record import batch_record
from textleak.audit.score import score
from textleak.client import Client, PrivateBatch
from textleak.core.errors import ConfigError, DataError, UpdateError
from textleak.core.events import Event, Iteration, parse_event
from textleak.evidence.masked_words import masked_words
from textleak.models import TextModel
from textleak.results.history import History

SENTENCE = "the cat sat on a mat ."


@pytest.fixture
def diverging(monkeypatch: pytest.MonkeyPatch) -> None:
    """The paper's L-BFGS blows up at its third iteration, as it does after a while by itself."""

    def minimise(objective: Any, start: torch.Tensor, options: Any) -> Any:
        values, _ = objective(start)
        yield start, values, 1
        yield start + 1, objective(start + 1)[0], 2
        yield start * torch.nan, values * torch.nan, 3

    monkeypatch.setattr("textleak.attacks.dlg.continuous.minimise", minimise)


@pytest.mark.usefixtures("diverging")
@pytest.mark.parametrize("task", ["mlm", "classifier"])
def test_dlg_keeps_the_iteration_before(task: str, mlm: TextModel, classifier: TextModel) -> None:
    model = mlm if task == "mlm" else classifier
    _, update = share(model, [SENTENCE])
    events: list[Event] = []
    kind = ATTACKS.load("dlg-paper")
    found = kind(kind.options_class())(model, update, on_event=events.append)
    assert found.candidate.notes == ("diverged at iteration 2: the text is of the one before",)
    assert found.candidate.objective == math.inf
    assert not found.verified
    told = [event for event in events if isinstance(event, Iteration)]
    assert told[1].token_ids == told[2].token_ids == found.token_ids
    assert [math.isfinite(event.objective) for event in told] == [True, True, False]


@pytest.mark.parametrize(("name", "rate"), [("tag", 1e30), ("cosine", 1e37), ("lamp", 1e37)])
def test_descents_end_where_nothing_is_finite(mlm: TextModel, name: str, rate: float) -> None:
    _, update = share(mlm, [SENTENCE])
    kind = ATTACKS.load(name)
    found = kind(kind.options_class(iterations=50, learning_rate=rate))(mlm, update)
    (note,) = found.candidate.notes
    assert note in [
        f"diverged at iteration {i}: the text is of the best one before" for i in (2, 3)
    ]
    assert found.candidate.objective == math.inf


def test_variables_without_an_objective_are_decoded(mlm: TextModel) -> None:
    """The last step of an iteration may be where squares overflow: labels are made anyhow."""
    _, update = share(mlm, [SENTENCE])
    kind = ATTACKS.load("dlg-paper")
    for simplex in ("softmax", "squares"):

        class Session:
            evaluations = 0

        continuous = Continuous(mlm, update, Session(), kind.options_class(simplex=simplex))  # type: ignore[arg-type]
        huge = torch.full_like(continuous._objective.start(1), 1e30)
        iterate: Iterate = (huge, torch.ones(1), 1)
        found = continuous._decode(iterate, 0)
        assert found.batch.lengths == list(update.metadata.lengths or ())
        assert all(math.isfinite(value) for row in found.confidence for value in row)


def test_words_are_counted_whatever_the_numbers() -> None:
    for value in (math.nan, math.inf, -math.inf, 0.0):
        assert len(masked_words(torch.full((9,), value), 3)) == 3


@pytest.mark.usefixtures("diverging")
def test_events_and_records_stay_json(mlm: TextModel) -> None:
    private, update = share(mlm, [SENTENCE])
    history = History(1)
    lines: list[str] = []

    def listen(event: Event) -> None:
        history.event(event)
        lines.append(event.model_dump_json())

    kind = ATTACKS.load("dlg-paper")
    found = kind(kind.options_class())(mlm, update, on_event=listen)

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    for line in lines:
        json.loads(line, parse_constant=refuse)
    again = [parse_event(line) for line in lines]
    assert [e.objective for e in again if isinstance(e, Iteration)][-1] == math.inf
    record = batch_record(score(mlm, found, private.original_ids), history.rows)
    assert record.objective is None
    assert record.history[-1].objective is None
    json.loads(record.model_dump_json(), parse_constant=refuse)


def test_one_failed_update_leaves_the_others(
    textleak: Callable[..., Any], mlm_folder: str, monkeypatch: pytest.MonkeyPatch, fake: None
) -> None:
    from fake_attack import FakeAttack

    run, calls = FakeAttack.run, iter([None, ValueError("cannot convert float NaN"), None])

    def sometimes(self: FakeAttack, *given: Any) -> Any:
        found = run(self, *given)
        error = next(calls)
        if error is not None:
            raise error
        return found

    monkeypatch.setattr(FakeAttack, "run", sometimes)
    texts = ["the cat sat", "a dog ran", "the cup broke"]
    given = [part for text in texts for part in ("-s", text)]
    outcome = textleak(
        *("attack", *given, "-a", "fake", "-m", mlm_folder, "--batch-size", 1),
        *("--quiet", "--json", "r.json", "--save", "run"),
    )
    assert outcome.code == 1
    assert outcome.err == ""
    record = json.loads(Path("r.json").read_text())
    assert [s["recovered"] for s in record["sequences"]] == ["the cat sat", "", "the cup broke"]
    assert record["sequences"][1]["token_match"] is None
    assert record["token_match"] == record["exact_rate"] == 1
    assert not record["verified"]
    failure = "ValueError: cannot convert float NaN"
    assert record["failures"] == [failure]
    assert [batch["failure"] for batch in record["batches"]] == [None, failure, None]
    assert f"failed: {failure}" in outcome.out
    assert "exact 2 of 2" in outcome.out
    shown = textleak("replay", "run")
    assert shown.code == 0
    assert failure in shown.out


def test_where_every_update_fails_the_first_is_told(
    textleak: Callable[..., Any], mlm_folder: str, monkeypatch: pytest.MonkeyPatch, fake: None
) -> None:
    from fake_attack import FakeAttack

    def refuse(self: FakeAttack, model: TextModel, *given: Any) -> None:
        raise UpdateError(f"no tensor that helps {self.name}")

    monkeypatch.setattr(FakeAttack, "run", refuse)
    given = ("attack", "-s", "the cat", "-s", "a dog", "-a", "fake", "-m", mlm_folder)
    outcome = textleak(*given, "--batch-size", 1, "--quiet", "--json", "r.json")
    assert outcome.code == 2
    assert outcome.err == "textleak: no tensor that helps fake\n"
    assert not Path("r.json").exists()


@pytest.mark.parametrize("error", [ConfigError("no such prior"), OSError("no such disk")])
def test_whatever_an_attack_raises_is_of_its_update(
    textleak: Callable[..., Any],
    mlm_folder: str,
    monkeypatch: pytest.MonkeyPatch,
    fake: None,
    error: Exception,
) -> None:
    from fake_attack import FakeAttack

    run, errors = FakeAttack.run, iter([error, None])

    def sometimes(self: FakeAttack, *given: Any) -> Any:
        found, raised = run(self, *given), next(errors)
        if raised is not None:
            raise raised
        return found

    monkeypatch.setattr(FakeAttack, "run", sometimes)
    given = ("attack", "-s", "the cat", "-s", "a dog", "-a", "fake", "-m", mlm_folder)
    outcome = textleak(*given, "--batch-size", 1, "--quiet", "--json", "r.json")
    assert outcome.code == 1
    record = json.loads(Path("r.json").read_text())
    assert [s["recovered"] for s in record["sequences"]] == ["", "a dog"]
    assert str(error) in record["failures"][0]


def test_an_update_that_the_client_cannot_make_leaves_the_others(
    textleak: Callable[..., Any], mlm_folder: str, monkeypatch: pytest.MonkeyPatch, fake: None
) -> None:
    share, errors = Client.share, iter([DataError("not finite"), None, DataError("not finite")])

    def sometimes(self: Client, private: PrivateBatch) -> Any:
        error = next(errors)
        if error is not None:
            FakeAttack.truths.pop(0)
            raise error
        return share(self, private)

    from fake_attack import FakeAttack

    monkeypatch.setattr(Client, "share", sometimes)
    given = [part for text in ("the cat", "a dog", "a cup") for part in ("-s", text)]
    outcome = textleak(
        *("attack", *given, "-a", "fake", "-m", mlm_folder, "--batch-size", 1),
        *("--json", "r.json", "--save", "run"),
    )
    assert outcome.code == 1
    record = json.loads(Path("r.json").read_text())
    assert [s["recovered"] for s in record["sequences"]] == ["", "a dog", ""]
    assert [batch["failure"] for batch in record["batches"]] == ["not finite", None, "not finite"]
    assert sorted(path.name for path in Path("run").glob("update*")) == ["update-2.safetensors"]
    shown = textleak("replay", "run", "--speed", 0)
    assert shown.code == 0
    assert "2 of 3" in shown.out
