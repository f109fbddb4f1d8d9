"""A small run for the views, a clock that stands still, and a console of known width."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO

import pytest
from rich.console import Console, RenderableType

from textleak.core.events import Event, Finished, Iteration, Started
from textleak.core.threat_model import ThreatModel
from textleak.metrics.sentence import SentenceFrame
from textleak.results.header import RunHeader
from textleak.results.history import HistoryRow
from textleak.results.pieces import Pieces
from textleak.results.record import BatchRecord, RunRecord, SequenceRecord

NAMES = {2: "[CLS]", 3: "[SEP]", 5: "we", 6: "welcome", 7: "tutor", 8: "##ials", 9: ".", 10: "it"}
TRUTH = [2, 5, 6, 7, 8, 9, 3]
FRAME = SentenceFrame(lead=1, trail=1)


@pytest.fixture
def pieces() -> Pieces:
    return Pieces(NAMES.get, FRAME)


@pytest.fixture
def header() -> RunHeader:
    return RunHeader(
        command="attack",
        attack="dlg",
        model="minilm",
        weights="pretrained",
        activation="keep",
        task="mlm",
        threat_model=ThreatModel(),
        seed=3,
        model_notes=("the head is new",),
    )


def iteration(number: int, ids: list[int], objective: float, stage: str = "match") -> Iteration:
    return Iteration(
        stage=stage,
        iteration=number,
        total=100,
        evaluations=2 * number,
        seconds=number / 10,
        objective=objective,
        token_ids=[ids],
        texts=[" ".join(NAMES.get(i, "?") for i in ids[1:-1])],
        labels=[["tutor"]],
    )


@pytest.fixture
def at() -> Callable[..., Iteration]:
    """An iteration of the small run: number, ids, objective, stage."""
    return iteration


@pytest.fixture
def events() -> list[Event]:
    return [
        Started(attack="dlg"),
        iteration(0, [2, 10, 10, 10, 10, 10, 3], 1.0),
        iteration(10, [2, 5, 6, 10, 8, 9, 3], 0.1),
        iteration(15, TRUTH, 0.001),
        Finished(evaluations=30, seconds=1.6, texts=["…"], gradient_error=1e-7, verified=True),
    ]


@pytest.fixture
def record(header: RunHeader) -> RunRecord:
    sequence = SequenceRecord(
        reference="we welcome tutorials.",
        recovered="we welcome it ials.",
        reference_ids=[5, 6, 7, 8, 9],
        recovered_ids=[5, 6, 10, 8, 9],
        token_match=0.8,
        exact=False,
        rouge1=0.75,
        rouge2=0.5,
        rougeL=0.75,
    )
    row = HistoryRow(
        stage="match", iteration=0, evaluations=1, seconds=0.1, objective=1.5, texts=["it it"]
    )
    batch = BatchRecord(
        size=1,
        verified=True,
        gradient_error=1.2e-7,
        objective=1e-9,
        evaluations=30,
        seconds=1.5,
        history=[row],
    )
    return RunRecord(
        **dict(header),
        sequences=[sequence],
        token_match=0.8,
        exact_rate=0.0,
        rouge1=0.75,
        rouge2=0.5,
        rougeL=0.75,
        verified=True,
        gradient_error=1.2e-7,
        evaluations=30,
        seconds=1.5,
        seconds_per_evaluation=0.05,
        notes=["one restart"],
        warnings=["look twice"],
        batches=[batch],
    )


Show = Callable[..., str]


@pytest.fixture
def show() -> Show:
    """What a renderable looks like; with `colour`, styles as ANSI codes."""

    def shown(view: RenderableType, width: int = 60, colour: bool = False) -> str:
        out = StringIO()
        console = Console(
            file=out,
            width=width,
            force_terminal=colour,
            color_system="standard" if colour else None,
            highlight=False,
            legacy_windows=False,
        )
        console.print(view)
        return "\n".join(line.rstrip() for line in out.getvalue().rstrip("\n").split("\n"))

    return shown
