"""What an attack tells while it runs. Screens, logs and replays are functions of these events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from textleak.core.budget import Stop
from textleak.core.verdict import Word


class Started(BaseModel):
    """The attack begins."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["started"] = "started"
    attack: str
    total: int | None = None
    seconds: float = 0.0


class Iteration(BaseModel):
    """Where the attack stands.

    Attributes:
        stage: what the attack is doing (`"match"`, `"discrete"` …).
        iteration: outer iterations of this stage so far.
        total: how many there can be at most, when known.
        evaluations: candidate gradients evaluated so far.
        seconds: since the start.
        objective: the best candidate's objective now.
        token_ids: per sequence, the ids decoded now (labels put in at masked positions).
        texts: the same, decoded.
        labels: per sequence, the recovered class or words under the masks, as text.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    kind: Literal["iteration"] = "iteration"
    stage: str
    iteration: int
    total: int | None = None
    evaluations: int
    seconds: float
    objective: float
    token_ids: list[list[int]]
    texts: list[str]
    labels: list[list[str]] = []


class Finished(BaseModel):
    """The attack has ended."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    kind: Literal["finished"] = "finished"
    evaluations: int
    seconds: float
    texts: list[str]
    gradient_error: float
    verified: bool
    verdict: Word | None = None
    stopped: Stop | None = None
    interrupted: bool = False


Event = Started | Iteration | Finished
OnEvent = Callable[[Event], None]
_ADAPTER: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])


def parse_event(line: str) -> Event:
    """Read one event from its line of JSON.

    >>> parse_event('{"kind": "started", "attack": "dlg"}').attack
    'dlg'
    """
    return _ADAPTER.validate_json(line)
