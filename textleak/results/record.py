"""The record of a run: the JSON object that the command line writes, and that replays read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from textleak.core.budget import Stop
from textleak.core.verdict import Word
from textleak.metrics.spec import MetricView
from textleak.results.header import RunHeader
from textleak.results.history import HistoryRow, ImageHistoryRow

Rate = Annotated[float, Field(ge=0, le=1)]
STANDING = ("token_match", "exact", "rouge1", "rouge2", "rougeL")  # metrics with a key of their own


class SequenceRecord(BaseModel):
    """One sentence; what needs the truth is null where it is not known.

    `reference` is the true sentence through the tokenizer and back, so that an exact recovery is
    the same text. The ids are those of the sentence, without the special tokens around it.
    `open_places` count from its first token, [CLS] at 0: those at which another word explains the
    update as well. `reference_pair` and `recovered_pair` are the two segments of a pair.
    `determined` says that the update gives the true sentence away, found or not: it is
    likelier than every competitor tried by more than the margin that determines; `margin` is the least,
    in nats, `competitor` the text that has it, `token_margins` the least of those that change each token.
    `metrics` holds what outside packages' metrics gave, by name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    reference: str | None
    recovered: str
    reference_ids: list[int] | None
    recovered_ids: list[int]
    token_match: Rate | None
    exact: bool | None
    rouge1: Rate | None
    rouge2: Rate | None
    rougeL: Rate | None
    metrics: dict[str, float] = {}
    reference_pair: list[str] | None = None
    recovered_pair: list[str] | None = None
    confidence: list[float] = []
    verified: bool | None = None
    verdict: Word | None = None
    open_places: list[int] = []
    determined: bool | None = None
    margin: float | None = None
    token_margins: list[float | None] = []
    competitor: str | None = None
    label: int | None = None
    reference_label: int | None = None

    @property
    def standing(self) -> str:
        """Found, determined or hidden, in words; empty where it is not known."""
        if self.exact:
            return "found"
        if self.determined is None:
            return ""
        return "determined, not found" if self.determined else "hidden"

    def score(self, metric: str) -> float | None:
        """What a metric gave; a sentence that was not scored has 0 of a rate, and nothing of another."""
        if metric in STANDING:
            return float(getattr(self, metric) or 0.0)
        return self.metrics.get(metric)


class UpdateRecord(BaseModel):
    """One attacked update: how many of the sequences or images are its own, and what it cost.

    A `failure` says why its attack came to nothing; what it is of has no scores then.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int
    verified: bool
    verdict: Word | None = None
    scale: float | None = None
    gradient_error: float | None
    objective: float | None
    evaluations: int
    seconds: float
    stopped: Stop | None = None
    failure: str | None = None


class BatchRecord(UpdateRecord):
    """One attacked update of a text model; `undetermined` says why no margin is given."""

    history: list[HistoryRow] = []
    undetermined: str = ""


class ImageRecord(BaseModel):
    """One image; what needs the truth is null where it is not known.

    The PSNR of equal images is infinite, which JSON cannot hold: it is null, with an `mse` of 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    reference_label: int | None
    recovered_label: int | None
    mse: float | None
    psnr: float | None
    ssim: float | None
    label_match: bool | None
    verified: bool
    verdict: Word


class ImageUpdateRecord(UpdateRecord):
    """One attacked update of an image model."""

    history: list[ImageHistoryRow] = Field(default_factory=list)


class OutcomeRecord(RunHeader):
    """What a run comes to, whatever it recovers.

    `stopped` says what ended it, or the attack on one of its updates, before its end: `"user"` (then
    `interrupted` as well), or `"budget"`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_version: Literal[1, 2] = Field(default=2, alias="schema")
    verified: bool
    verdict: Word | None = None
    gradient_error: float | None
    scale: float | None = None
    evaluations: int
    seconds: float
    seconds_per_evaluation: float | None
    stopped: Stop | None = None
    interrupted: bool = False
    failures: list[str] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)

    @property
    def parts(self) -> Sequence[BaseModel]:
        """The sequences, or images, of every update."""
        raise NotImplementedError

    @property
    def updates(self) -> Sequence[UpdateRecord]:
        """The attacked updates."""
        raise NotImplementedError

    @property
    def score(self) -> str:
        """How much came back, in a word for people."""
        raise NotImplementedError

    def to_json(self) -> str:
        """One JSON object, `schema` first; never NaN."""
        data = self.model_dump(mode="json", by_alias=True)
        ordered = {"schema": data.pop("schema"), **data}
        return json_text(ordered)


class RunRecord(OutcomeRecord):
    """The whole run on text. Rates lie between 0 and 1 and are means over sentences.

    `metrics` holds what those of outside packages come to, `metric_views` how they are summed up and shown.
    """

    sequences: list[SequenceRecord]
    token_match: Rate | None
    exact_rate: Rate | None
    rouge1: Rate | None
    rouge2: Rate | None
    rougeL: Rate | None
    metrics: dict[str, float] = Field(default_factory=dict)
    metric_views: dict[str, MetricView] = Field(default_factory=dict)
    label_accuracy: Rate | None = None
    determined_rate: Rate | None = None
    batches: list[BatchRecord] = Field(default_factory=list)

    @property
    def parts(self) -> list[SequenceRecord]:
        """The sequences."""
        return self.sequences

    @property
    def updates(self) -> list[BatchRecord]:
        """The attacked updates."""
        return self.batches

    @property
    def score(self) -> str:
        """The token match."""
        return "no score" if self.token_match is None else f"token match {self.token_match:.2f}"


class ImageRunRecord(OutcomeRecord):
    """The whole run on images; scores are means over them."""

    images: list[ImageRecord]
    mse: float | None
    psnr: float | None
    ssim: float | None
    label_match: float | None
    batches: list[ImageUpdateRecord] = Field(default_factory=list)

    @property
    def parts(self) -> list[ImageRecord]:
        """The images."""
        return self.images

    @property
    def updates(self) -> list[ImageUpdateRecord]:
        """The attacked updates."""
        return self.batches

    @property
    def score(self) -> str:
        """The PSNR of the mean error."""
        if self.mse is None:
            return "no score"
        return f"PSNR {-10 * math.log10(self.mse):.1f} dB" if self.mse else "PSNR equal"


def json_text(data: object) -> str:
    """Indented JSON with a newline at its end; NaN is an error, as no other reader takes it."""
    import json

    return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def finite(value: float | None) -> float | None:
    """The value, or None where it is infinite or NaN: JSON has neither."""
    return value if value is not None and math.isfinite(value) else None
