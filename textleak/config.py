"""One validated object that says everything about a run: command line over YAML over defaults."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from textleak.errors import ConfigError, unknown
from textleak.threat_model import ThreatModel

Labels = Literal["joint", "analytic", "known"]


class RunConfig(BaseModel):
    """What is attacked, how, and what the attacker is granted.

    Attributes:
        sentences: private sentences; together they are one batch unless `batch_size` says otherwise.
        file: a `.txt` (a sentence a line) or `.jsonl` (`text`, and `label` if it has one).
        batch_size: sentences an update; all in one where it is not given.
        classes: the client's class labels, one a sentence; drawn from the seed where not given.
        model: `minilm`, a preset, a local folder or a Hub id.
        weights: `pretrained`, or `random` in BERT's own initialisation.
        weights_seed: seeds the weights that are not loaded.
        activation: `keep`, or the smooth activation put in everywhere.
        num_labels: classes of a classification head.
        task: what the client trains.
        dropout: the client trains with dropout on.
        mask_rate: the fraction of tokens that masked-LM predicts.
        share: shell patterns of the parameters whose gradients are shared.
        defences: what the client does before it shares, as `name:key=value`, in this order.
        attack: the attack's name.
        labels: how labels are found: jointly optimised, read off, or granted (then masked
            positions are granted too).
        options: any other option of the attack.
        seed: seeds the client and the attack.
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
    weights_seed: int = 0
    activation: str = "keep"
    num_labels: int | None = Field(default=None, ge=2)
    task: Literal["mlm", "classification"] = "mlm"
    dropout: bool = False
    mask_rate: float = Field(default=0.15, gt=0, le=1)
    share: tuple[str, ...] = ("*",)
    defences: tuple[str, ...] = ()
    attack: str = "dlg"
    labels: Labels | None = None
    options: dict[str, Any] = {}
    seed: int = 0
    every: int = Field(default=10, ge=1)
    threads: int | None = Field(default=None, ge=1)
    device: str = "cpu"

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
        try:
            return RunConfig.model_validate({**base, **given, "options": options})
        except ValidationError as error:
            raise ConfigError(problem(error, RunConfig)[1]) from error


def problem(error: ValidationError, schema: type[BaseModel]) -> tuple[tuple[str | int, ...], str]:
    """The first problem of a validation: where it is, and one line that says what is wrong."""
    first = error.errors()[0]
    where = tuple(first["loc"])
    path = ".".join(str(part) for part in where)
    if first["type"] == "extra_forbidden":
        return where, unknown("key", path, schema.model_fields)
    got = first.get("input")
    return where, f"{path}: {lower_first(first['msg'])}, got {got!r}"


def lower_first(text: str) -> str:
    """The text with a small first letter.

    >>> lower_first("Input should be a valid integer")
    'input should be a valid integer'
    """
    return text[:1].lower() + text[1:]
