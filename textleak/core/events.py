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


class Step(BaseModel):
    """Where an attack stands, whatever it recovers.

    Attributes:
        kind: which event it is.
        stage: what the attack is doing (`"match"`, `"discrete"` …).
        iteration: outer iterations of this stage so far.
        total: how many there can be at most, when known.
        evaluations: candidate gradients evaluated so far.
        seconds: since the start.
        objective: the best candidate's objective now.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    kind: str
    stage: str
    iteration: int
    total: int | None = None
    evaluations: int
    seconds: float
    objective: float


class Iteration(Step):
    """Where an attack on text stands.

    Attributes:
        token_ids: per sequence, the ids decoded now (labels put in at masked positions).
        texts: the same, decoded.
        labels: per sequence, the recovered class or words under the masks, as text.
    """

    kind: Literal["iteration"] = "iteration"
    token_ids: list[list[int]]
    texts: list[str]
    labels: list[list[str]] = []


class ImageIteration(Step):
    """Where an attack on images stands.

    Attributes:
        images: the best candidate's images, each a PNG in base64.
        labels: its classes.
    """

    kind: Literal["image-iteration"] = "image-iteration"
    images: list[str]
    labels: list[int]


class End(BaseModel):
    """An attack has ended, whatever it recovered."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    kind: str
    evaluations: int
    seconds: float
    gradient_error: float
    verified: bool
    verdict: Word | None = None
    stopped: Stop | None = None
    interrupted: bool = False


class Finished(End):
    """An attack on text has ended."""

    kind: Literal["finished"] = "finished"
    texts: list[str]


class ImageFinished(End):
    """An attack on images has ended; its images are PNGs in base64."""

    kind: Literal["image-finished"] = "image-finished"
    images: list[str]
    labels: list[int]


Event = Started | Iteration | ImageIteration | Finished | ImageFinished
OnEvent = Callable[[Event], None]
_ADAPTER: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])


def parse_event(line: str) -> Event:
    """Read one event from its line of JSON.

    >>> parse_event('{"kind": "started", "attack": "dlg"}').attack
    'dlg'
    """
    return _ADAPTER.validate_json(line)
