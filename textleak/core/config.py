"""One validated object that says everything about a run: command line over YAML over defaults."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from textleak.core.bounds import MOST_DEFENCES, MOST_STEPS, Classes, Count, Seed, Threads, unfit
from textleak.core.budget import Budget
from textleak.core.errors import ConfigError, unknown
from textleak.core.feed import Feed, RowLength
from textleak.core.loss import LossOptions, Reduction, Smoothing, Weights
from textleak.core.protocol import Protocol
from textleak.core.task_names import TextTaskName
from textleak.core.threat_model import Patterns, ThreatModel

Labels = Literal["joint", "analytic", "known"]
MOST = 80  # characters of a wrong value that an error shows
Schema = TypeVar("Schema", bound=BaseModel)


class RunConfig(BaseModel):
    """What is attacked, how, and what the attacker is granted.

    Attributes:
        sentences: private sentences; together they are one batch unless `batch_size` says otherwise.
        file: a `.txt` (a sentence a line) or `.jsonl` (`text`, and `label` if it has one).
        batch_size: sentences an update; all in one where it is not given.
        classes: the client's class labels, one a sentence; drawn by the client where not given.
        model: `minilm`, a preset, a local folder or a Hub id.
        weights: `pretrained`, or `random` in BERT's own initialisation.
        weights_seed: seeds the weights that are not loaded.
        activation: `keep`, or the smooth activation put in everywhere.
        num_labels: classes of a classification head.
        adapter: what alone is trained, as `lora:rank=8`, or the folder of a trained one.
        adapter_steps: how long it is trained on public text first.
        adapter_seed: seeds what is drawn of it.
        task: what the client trains.
        pair: texts are two segments, with a tab between them or as `text` and `text_pair`.
        packed: texts follow one another in rows of `max_length` tokens.
        special_tokens: the tokenizer's frame stands around each text.
        max_length: tokens that a text is cut to, or that a packed row has.
        loss_reduction: mean or sum over what bears loss.
        label_smoothing: how much of each target is spread over all labels.
        class_weights: of each class in the loss.
        dropout: the client trains with dropout on.
        mask_rate: the fraction of tokens that masked-LM predicts.
        share: shell patterns of the parameters whose gradients are shared.
        defences: what the client does before it shares, as `name:key=value`, in this order.
        protocol: the client's local steps, clipping and precision; they go before the defences.
        attack: the attack's name.
        labels: how labels are found: jointly optimised, read off, or granted (then masked
            positions are granted too).
        options: any other option of the attack.
        time_limit: seconds that the attack on an update may take; then its best so far counts.
        max_evaluations: candidate gradients that it may evaluate, likewise.
        seed: seeds the attack; update `i` takes `seed + i`.
        client_seed: seeds the client's masks, classes drawn, dropout and noise, update `i` from
            `client_seed + i`; the operating system's where not given. Noise from a known seed protects
            nothing.
        determined: whether it is looked at what each update determines, whatever is found; where the
            truth is known.
        every: iterations between plain lines, and between rows of the history.
        threads: threads for torch; its own choice where not given.
        device: where it all runs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sentences: tuple[str, ...] = ()
    file: str | None = None
    batch_size: int | None = Field(default=None, ge=1)
    classes: tuple[int, ...] | None = None
    model: str = "minilm"
    weights: Literal["pretrained", "random"] = "pretrained"
    weights_seed: Seed = 0
    activation: str = "keep"
    num_labels: Classes | None = None
    adapter: str | None = None
    adapter_steps: int = Field(default=0, ge=0, le=MOST_STEPS)
    adapter_seed: Seed = 0
    task: TextTaskName = "mlm"
    pair: bool = False
    packed: bool = False
    special_tokens: bool = True
    max_length: RowLength | None = None
    loss_reduction: Reduction = "mean"
    label_smoothing: Smoothing = 0.0
    class_weights: Weights | None = None
    dropout: bool = False
    mask_rate: float = Field(default=0.15, gt=0, le=1)
    share: Patterns = ("*",)
    defences: Annotated[tuple[str, ...], Field(max_length=MOST_DEFENCES)] = ()
    protocol: Protocol | None = None
    attack: str = "dlg"
    labels: Labels | None = None
    options: dict[str, Any] = {}
    time_limit: float | None = Field(default=None, gt=0)
    max_evaluations: Count | None = None
    seed: Seed = 0
    client_seed: Seed | None = None
    determined: bool = True
    every: int = Field(default=10, ge=1)
    threads: Threads | None = None
    device: str = "cpu"

    @property
    def budget(self) -> Budget:
        """What the attack on an update may spend."""
        return Budget(self.time_limit, self.max_evaluations)

    @property
    def stated(self) -> tuple[str, ...]:
        """All that the client does before it shares, as defences are written."""
        return (*(self.protocol.defences if self.protocol else ()), *self.defences)

    @property
    def loss(self) -> LossOptions:
        """How the client's loss is taken."""
        return LossOptions(
            reduction=self.loss_reduction,
            smoothing=self.label_smoothing,
            weights=self.class_weights,
        )

    @property
    def feed(self) -> Feed:
        """How texts become what the model is fed."""
        return validated(
            Feed,
            {
                "pairs": self.pair,
                "packed": self.packed,
                "special_tokens": self.special_tokens,
                "max_length": self.max_length,
            },
        )

    @property
    def threat_model(self) -> ThreatModel:
        """What the attacker is granted by this configuration, before its defences."""
        known = self.labels == "known"
        return ThreatModel(
            labels=known, masked_positions=known, dropout=self.dropout, shared=self.share
        )

    def merged(self, given: dict[str, Any]) -> RunConfig:
        """This configuration with `given` over it; sentences given replace those of a file.

        Raises:
            ConfigError: an unknown key or a value of the wrong type.
        """
        base = self.model_dump(exclude_unset=True)
        if given.get("sentences") or given.get("file"):
            for key in ("sentences", "file", "classes"):
                base.pop(key, None)
        options = {**base.get("options", {}), **given.get("options", {})}
        return validated(RunConfig, {**base, **given, "options": options})


def validated(schema: type[Schema], data: dict[str, Any], what: str = "") -> Schema:
    """`data` as a `schema` of which every number is finite and fits 64 bits.

    Args:
        schema: what it is to be.
        data: the values by key.
        what: what the error begins with.

    Raises:
        ConfigError: a key or a value that is not valid; one line.
    """
    try:
        made = schema.model_validate(data)
    except ValidationError as error:
        raise ConfigError(what + problem(error, schema)[1]) from error
    odd = unfit(made.model_dump())
    if odd is not None:
        raise ConfigError(f"{what}{'.'.join(map(str, odd[0]))}: {odd[1]}")
    return made


def problem(error: ValidationError, schema: type[BaseModel]) -> tuple[tuple[str | int, ...], str]:
    """A validation's first problem: where it is, and one line that says what is wrong.

    An unknown key goes first: another that is missing is often the same one, misspelt.
    """
    first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    where = tuple(first["loc"])
    path = ".".join(str(part) for part in where)
    if first["type"] == "extra_forbidden":
        inner = _schema_at(schema, where[:-1])
        key = str(where[-1]) if inner is not schema else path
        place = f" of {'.'.join(map(str, where[:-1]))}" if inner is not schema else ""
        return where, unknown(f"key{place}", key, inner.model_fields)
    if first["type"] == "missing":
        return where, f"{path}: it is missing"
    if first["type"] == "too_short":
        return where, f"{path}: expected at least one, got none"
    if first["type"] == "too_long":
        most, got = first["ctx"]["max_length"], first["ctx"]["actual_length"]
        return where, f"{path}: expected at most {most}, got {got}"
    what = lower_first(first["msg"].removeprefix("Value error, "))
    if first["type"] == "value_error":
        return where, f"{path}: {what}" if path else what
    got = repr(first.get("input"))
    return where, f"{path}: {what}, got {got if len(got) <= MOST else got[:MOST] + '…'}"


def _schema_at(schema: type[BaseModel], where: tuple[str | int, ...]) -> type[BaseModel]:
    """The schema of the object at the key path `where`; places in a list are passed over."""
    for part in where:
        if isinstance(part, str) and part in schema.model_fields:
            inner = _model_in(schema.model_fields[part].annotation)
            if inner is None:
                break
            schema = inner
    return schema


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The first schema that a type speaks of: `Entry` of `tuple[Entry, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(inner) for inner in get_args(annotation))
    return next((model for model in found if model is not None), None)


def lower_first(text: str) -> str:
    """The text with a small first letter.

    >>> lower_first("Input should be a valid integer")
    'input should be a valid integer'
    """
    return text[:1].lower() + text[1:]
