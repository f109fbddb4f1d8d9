"""What a grid is made of: one validated object, as the YAML file says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from textleak.core.bounds import MOST_DEFENCES, MOST_STEPS, Classes, Count, Seed, Threads
from textleak.core.config import Labels
from textleak.core.task_names import TextTaskName
from textleak.core.threat_model import Patterns

NO_DEFENCE = "none"
SCHEMA = ConfigDict(frozen=True, extra="forbid")
T = TypeVar("T")


def listed(value: Any) -> Any:
    """One value stands for a list of it."""
    return value if isinstance(value, list | tuple) else [value]


def named(value: Any) -> Any:
    """A name alone stands for an entry with that name."""
    return {"name": value} if isinstance(value, str) else value


def _texts(value: Any) -> Any:
    """Sentences alone stand for one set of them."""
    entries = listed(value)
    if entries and all(isinstance(entry, str) for entry in entries):
        return [{"sentences": entries}]
    return entries


def _patterns(value: Any) -> Any:
    return ["*"] if value == "all" else listed(value)


def _specs(value: Any) -> Any:
    return [spec for spec in listed(value) if spec != NO_DEFENCE]


Axis = Annotated[tuple[T, ...], BeforeValidator(listed), Field(min_length=1)]


class TextSet(BaseModel):
    """One set of private texts, from one place.

    Attributes:
        title: what the report calls it; the file's or dataset's name where it is not given.
        sentences: the sentences themselves.
        classes: their class labels.
        file: a `.txt` (a sentence a line) or `.jsonl` (`text`, and `label` if it has one).
        dataset: a name for the `datasets` library: a Hub id, or a local folder of data files.
        config: the dataset's configuration (`cola` of `nyu-mll/glue`).
        split: the dataset's split.
        column: the dataset's column of text.
        label_column: its column of class labels, if it has one.
        start: the first text taken, counted from 0.
        count: how many are taken; all where it is not given.
    """

    model_config = SCHEMA

    title: str = ""
    sentences: tuple[str, ...] = ()
    classes: tuple[int, ...] | None = None
    file: str | None = None
    dataset: str | None = None
    config: str | None = None
    split: str = "validation"
    column: str = "text"
    label_column: str | None = None
    start: int = Field(default=0, ge=0)
    count: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _one_place(self) -> TextSet:
        given = [n for n in ("sentences", "file", "dataset") if getattr(self, n)]
        if len(given) != 1:
            raise ValueError(
                f"expected one of sentences, file, dataset, got {' and '.join(given) or 'none'}"
            )
        if self.classes is not None and not self.sentences:
            raise ValueError("classes go with sentences; a file or dataset brings its own")
        return self

    @property
    def shown(self) -> str:
        """The title, or a name made of where the texts come from."""
        if self.title:
            return self.title
        if self.file:
            return self.file.rsplit("/", 1)[-1].rsplit(".", 1)[0]
        dataset = (self.dataset or "").rstrip("/").rsplit("/", 1)[-1]
        return self.config or dataset or "sentences"


def titled(name: str, title: str, changed: Mapping[str, Any]) -> str:
    """The title, or the name with whatever is not the default.

    >>> titled("dlg", "", {"rounds": 2}), titled("dlg", "", {}), titled("dlg", "ours", {"rounds": 2})
    ('dlg rounds=2', 'dlg', 'ours')
    """
    more = ",".join(f"{key}={value}" for key, value in changed.items())
    return title or (f"{name} {more}" if more else name)


class ModelEntry(BaseModel):
    """One model.

    Attributes:
        name: `minilm`, a preset, a local folder or a Hub id.
        title: what the report calls it; its name and what is not the default where not given.
        weights: `pretrained`, or `random` in BERT's own initialisation.
        weights_seed: seeds the weights that are not loaded.
        activation: `keep`, or the smooth activation put in everywhere.
        num_labels: classes of a classification head.
        adapter: what alone is trained, as `lora:rank=8`, or the folder of a trained one.
        adapter_steps: how long it is trained on public text first.
        adapter_seed: seeds what is drawn of it.
    """

    model_config = SCHEMA

    name: str
    title: str = ""
    weights: Literal["pretrained", "random"] = "pretrained"
    weights_seed: Seed = 0
    activation: str = "keep"
    num_labels: Classes | None = None
    adapter: str | None = None
    adapter_steps: int = Field(default=0, ge=0, le=MOST_STEPS)
    adapter_seed: Seed = 0

    @property
    def shown(self) -> str:
        """The title, or the name with whatever is not the default."""
        name = self.name.rstrip("/").rsplit("/", 1)[-1]
        changed = self.model_dump(exclude_defaults=True, exclude={"name", "title"})
        return titled(name, self.title, changed)


class AttackEntry(BaseModel):
    """One attack with its options.

    Attributes:
        name: the attack's name.
        title: what the report calls it; its name and options where not given.
        labels: how labels are found; `known` grants them.
        options: any other option of the attack.
    """

    model_config = SCHEMA

    name: str
    title: str = ""
    labels: Labels | None = None
    options: dict[str, Any] = {}

    @property
    def shown(self) -> str:
        """The title, or the name with its options."""
        settings = {**({"labels": self.labels} if self.labels else {}), **self.options}
        return titled(self.name, self.title, settings)


class BaseGrid(BaseModel):
    """What every grid has, whatever it is of: each combination of the axes is a run for every batch.

    Attributes:
        title: the report's title.
        batch_sizes: consecutive texts or pictures an update; the last of a set may have fewer.
        defences: each cell a list of specs, applied in their order; `none` is none.
        shares: each cell a list of patterns of shared parameters; `all` is all.
        seeds: batch `i` of a set takes `seed + i`, as `textleak attack --seed` does.
        client_seeded: the clients' chance follows from `seeds` too, so that every run can be repeated; no
            attack is told, but noise from a known seed protects nothing, and no ε is promised. False
            takes it from the operating system, as a client that means to protect something does.
        device: where it all runs.
        threads: torch threads of one run; the cores divided by the workers where not given.
        time_limit: seconds that an attack may take; then its best so far counts, marked as such. What is
            near it differs from one machine to another.
        max_evaluations: candidate gradients that an attack may evaluate, likewise; the same everywhere.
    """

    model_config = SCHEMA
    MODALITY: ClassVar[str]

    title: str = "Gradient leakage audit"
    batch_sizes: Axis[Annotated[int, Field(ge=1)]] = (1,)
    defences: Axis[
        Annotated[tuple[str, ...], BeforeValidator(_specs), Field(max_length=MOST_DEFENCES)]
    ] = ((),)
    shares: Axis[Annotated[Patterns, BeforeValidator(_patterns)]] = (("*",),)
    seeds: Axis[Seed] = (0,)
    client_seeded: bool = True
    device: str = "cpu"
    threads: Threads | None = None
    time_limit: float | None = Field(default=None, gt=0)
    max_evaluations: Count | None = None


class GridConfig(BaseGrid):
    """A grid on text.

    Attributes:
        texts: sets of private texts.
        models: models.
        tasks: what the client trains.
        attacks: attacks.
        determined: whether it is looked at what each update determines, whatever is found.
        mask_rate: the fraction of tokens that masked-LM predicts.
        dropout: the client trains with dropout on.
    """

    MODALITY: ClassVar[str] = "text"

    texts: Annotated[tuple[TextSet, ...], BeforeValidator(_texts), Field(min_length=1)]
    models: Axis[Annotated[ModelEntry, BeforeValidator(named)]] = (ModelEntry(name="minilm"),)
    tasks: Axis[TextTaskName] = ("mlm",)
    attacks: Axis[Annotated[AttackEntry, BeforeValidator(named)]] = (AttackEntry(name="dlg"),)
    determined: bool = True
    mask_rate: float = Field(default=0.15, gt=0, le=1)
    dropout: bool = False


def defence_title(specs: tuple[str, ...]) -> str:
    """What the report calls a cell of defences.

    >>> defence_title(("clip:norm=1", "gaussian:std=0.1")), defence_title(())
    ('clip:norm=1 + gaussian:std=0.1', 'none')
    """
    return " + ".join(specs) or NO_DEFENCE


def share_title(patterns: tuple[str, ...]) -> str:
    """What the report calls a cell of shared parameters."""
    return "all" if "*" in patterns else ", ".join(patterns)
