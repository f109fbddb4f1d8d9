"""What every attack promises, on text and on images: one table, one behaviour."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.sharing import share as share_text
from tests.vision.conftest import blobs
from tests.vision.sharing import share as share_images
from textleak.attacks import ATTACKS
from textleak.attacks.base import BaseAttack
from textleak.audit.each import Scoring, audit_each
from textleak.audit.record import run_record
from textleak.audit.result import Audit
from textleak.audit.run import ClientText
from textleak.core.budget import Budget
from textleak.core.errors import BudgetError, TextleakError
from textleak.core.events import End, Event, Started, Step, parse_event
from textleak.core.reconstruction import Reconstruction
from textleak.core.registry import Registry
from textleak.core.update import SharedUpdate
from textleak.models import TextModel
from textleak.results.header import RunHeader
from textleak.results.record import OutcomeRecord
from textleak.vision.attacks import IMAGE_ATTACKS
from textleak.vision.audit import ImageAudit, ImageScoring
from textleak.vision.models import ImageModelOptions, load_image_model
from textleak.vision.record import image_record

REGISTRIES: dict[str, Registry[Any]] = {"text": ATTACKS, "image": IMAGE_ATTACKS}
CASES = [(modality, name) for modality, names in REGISTRIES.items() for name in names]
FEW = {"restarts": 1, "iterations": 2}
QUICK = {**FEW, "rounds": 1, "discrete": False}
SHORT: dict[tuple[str, str], dict[str, Any]] = {
    ("text", "dlg"): QUICK,
    ("text", "dlg-paper"): {**QUICK, "iterations": 1},
    ("text", "auto"): {"dlg": QUICK},
    ("text", "tag"): FEW,
    ("text", "cosine"): FEW,
    ("text", "lamp"): {**FEW, "prior": None},
    ("text", "likelihood"): {"std": 1e-4},
    ("image", "dlg"): FEW,
    ("image", "idlg"): FEW,
    ("image", "inverting"): {"restarts": 1, "iterations": 20},
}
# Hand something back once a sentence is proven, and nothing before; see attacks/test_budget.py.
LATE = {("text", "subspace"), ("text", "auto"), ("text", "likelihood")}


@dataclass(frozen=True)
class Subject:
    """A small model, the update of one batch, and how it is scored and recorded."""

    model: Any
    update: SharedUpdate
    private: Any
    scoring: Scoring[Any, Any, Any]
    audit: Callable[..., Any]
    record: Callable[..., OutcomeRecord]

    def altered(self, change: Callable[[torch.Tensor], torch.Tensor]) -> SharedUpdate:
        """The update with every gradient changed."""
        return replace(
            self.update, gradients={n: change(g) for n, g in self.update.gradients.items()}
        )


@dataclass(frozen=True)
class Case:
    """One attack and what it is tried on."""

    modality: str
    name: str
    attack: BaseAttack[Any, Any, Any, Any]
    on: Subject

    def run(self, update: SharedUpdate | None = None, **how: Any) -> Reconstruction[Any]:
        """Attack with seed 3."""
        found: Reconstruction[Any] = self.attack(
            self.on.model, self.on.update if update is None else update, **{"seed": 3, **how}
        )
        return found


def text_subject(model: TextModel) -> Subject:
    private, update = share_text(model, ["the cat sat on the mat ."])
    scoring = ClientText(model, determined=False)
    return Subject(model, update, private, scoring, Audit, run_record)


def image_subject() -> Subject:
    options = ImageModelOptions(name="mlp", shape=(1, 12, 12), classes=4)
    model = load_image_model(options)
    private, update = share_images(model, blobs(1), [2])
    return Subject(model, update, private, ImageScoring(), ImageAudit, image_record)


@pytest.fixture(scope="module")
def subjects(mlm: TextModel) -> dict[str, Subject]:
    return {"text": text_subject(mlm), "image": image_subject()}


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def case(request: pytest.FixtureRequest, subjects: dict[str, Subject]) -> Case:
    modality, name = request.param
    kind = REGISTRIES[modality].load(name)
    attack = kind(kind.options_class(**SHORT.get((modality, name), {})))
    return Case(modality, name, attack, subjects[modality])


@pytest.fixture(scope="module")
def told(case: Case) -> tuple[Reconstruction[Any], list[Event]]:
    """One run of the case, and its events."""
    events: list[Event] = []
    return case.run(on_event=events.append), events


def state(case: Case) -> list[Any]:
    """What a run must leave alone."""
    module = case.on.model.module
    return [
        {name: value.clone() for name, value in module.state_dict().items()},
        {name: (p.requires_grad, p.grad) for name, p in module.named_parameters()},
        [child.training for child in module.modules()],
        torch.random.get_rng_state().tolist(),
        random.getstate(),
        np.random.get_state()[1].tolist(),  # type: ignore[index, union-attr]
        {name: value.clone() for name, value in case.on.update.gradients.items()},
    ]


def same(one: Any, other: Any) -> bool:
    """Whether two states are equal, tensors by value."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def recovered(found: Reconstruction[Any]) -> list[torch.Tensor]:
    return [v for v in vars(found.candidate.batch).values() if isinstance(v, torch.Tensor)]


def untimed(events: list[Event]) -> list[dict[str, Any]]:
    return [event.model_dump(exclude={"seconds"}) for event in events]


def recorded(case: Case, results: list[Any]) -> OutcomeRecord:
    header = RunHeader(
        command="attack",
        attack=case.name,
        model="small",
        weights="random",
        activation="keep",
        task="mlm" if case.modality == "text" else "image",
        threat_model=case.on.update.metadata.threat_model,
    )
    return case.on.record(header, case.on.audit(results), [])


def test_it_says_what_it_is(case: Case) -> None:
    kind = type(case.attack)
    assert (kind.name, kind.modality.name) == (case.name, case.modality)
    assert "__call__" not in vars(kind)
    assert kind.__doc__
    assert kind.options_class.model_config["extra"] == "forbid"
    assert kind.options_class.model_config["frozen"]


def test_a_seeded_run_repeats_exactly(
    case: Case, told: tuple[Reconstruction[Any], list[Event]]
) -> None:
    events: list[Event] = []
    again = case.run(on_event=events.append)
    assert untimed(events) == untimed(told[1])
    assert same(recovered(again), recovered(told[0]))
    assert again.verdict == told[0].verdict


def test_events_come_in_order_and_are_json(
    told: tuple[Reconstruction[Any], list[Event]], case: Case
) -> None:
    found, events = told
    begin, *steps, end = events
    assert isinstance(begin, Started)
    assert begin.attack == case.name
    assert steps
    assert all(isinstance(step, Step) for step in steps)
    assert isinstance(end, End)
    costs = [(e.evaluations, e.seconds) for e in (*steps, end) if not isinstance(e, Started)]
    assert costs == sorted(costs)
    assert (end.evaluations, end.verified) == (found.evaluations, found.verified)
    for event in events:
        assert parse_event(event.model_dump_json()) == event


def test_nothing_of_the_callers_is_changed(case: Case) -> None:
    case.on.model.module.train()
    before = state(case)
    try:
        case.run()
        assert same(state(case), before)
        with pytest.raises(TextleakError):
            case.run(case.on.altered(lambda g: g * torch.nan))
        assert same(state(case), before)
    finally:
        case.on.model.module.eval()


def test_its_budget_ends_it_with_the_best_so_far(
    case: Case, told: tuple[Reconstruction[Any], list[Event]]
) -> None:
    if (case.modality, case.name) in LATE:
        with pytest.raises(BudgetError, match="nothing was found within 1 s: give more"):
            case.run(budget=Budget(seconds=1, clock=ticks()))
        return
    most = min(1, told[0].evaluations)
    found = case.run(budget=Budget(evaluations=most))
    assert found.stopped == "budget"
    assert not found.interrupted
    assert found.warnings[0].startswith(f"stopped by its budget of {most} evaluations")
    assert found.evaluations <= told[0].evaluations
    assert len(found.verdict.parts) == 1


def ticks() -> Callable[[], float]:
    """Seconds that pass only where they are looked at."""
    passing: Iterator[int] = iter(range(10**6))
    return lambda: float(next(passing))


def test_an_interruption_hands_back_the_best_so_far(case: Case) -> None:
    def stop(event: Event) -> None:
        if isinstance(event, Step):
            raise KeyboardInterrupt

    found = case.run(on_event=stop)
    assert found.stopped == "user"
    assert found.interrupted
    assert recovered(found)


def test_nothing_is_proven_by_an_update_of_zeros(case: Case) -> None:
    zeros = case.on.altered(torch.zeros_like)
    scoring, private = case.on.scoring, case.on.private
    try:
        found = case.run(zeros)
    except TextleakError as error:
        results = [scoring.failed(error, 0.0, private)]
    else:
        assert found.verdict.word != "proven"
        assert all(part.word != "proven" for part in found.verdict.parts)
        results = [scoring.scored(zeros, found, private)]
    record = recorded(case, results)
    assert not record.verified
    assert json.loads(record.to_json())["verdict"] != "proven"


def test_what_is_not_a_number_is_a_recorded_failure(case: Case) -> None:
    nothing = case.on.altered(lambda g: g * torch.nan)
    exchanges = [(lambda: nothing, case.on.private), (lambda: case.on.update, case.on.private)]
    results, interrupted = audit_each(case.on.scoring, case.on.model, case.attack, exchanges)
    assert not interrupted
    assert "finite" in results[0].failure
    assert results[1].failure is None
    record = recorded(case, results)
    assert record.failures == [results[0].failure]
    assert not record.verified
    assert len(record.parts) == 2 * record.updates[1].size
    json.loads(record.to_json(), parse_constant=pytest.fail)


def test_its_record_is_complete_and_read_again(
    case: Case, told: tuple[Reconstruction[Any], list[Event]]
) -> None:
    on = case.on
    record = recorded(case, [on.scoring.scored(on.update, told[0], on.private)])
    data = json.loads(record.to_json(), parse_constant=pytest.fail)
    assert type(record).model_validate(data) == record
    shared = {("schema" if key == "schema_version" else key) for key in OutcomeRecord.model_fields}
    assert shared | {"batches"} <= data.keys()
    (update,) = data["batches"]
    assert update["evaluations"] == data["evaluations"] == told[0].evaluations
    assert data["verdict"] in ("proven", "consistent", "unexplained")
    assert update["size"] == len(record.parts)


def test_both_halves_write_the_same_keys(subjects: dict[str, Subject]) -> None:
    own = {
        "text": {"sequences", "token_match", "exact_rate", "rouge1", "rouge2", "rougeL"}
        | {"metrics", "metric_views", "label_accuracy", "determined_rate"},
        "image": {"images", "mse", "psnr", "ssim", "label_match"},
    }
    keys = {}
    for modality, subject in subjects.items():
        name = REGISTRIES[modality].names()[0]
        case = Case(modality, name, None, subject)  # type: ignore[arg-type]
        keys[modality] = json.loads(recorded(case, []).to_json()).keys() - own[modality]
    assert keys["text"] == keys["image"]
