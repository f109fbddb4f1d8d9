"""What a file holds and what an attacker could do with it, told without attacking."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from textleak.core.task_names import TEXT_TASKS
from textleak.core.update import SharedUpdate, UpdateMetadata
from textleak.evidence.words import active_rows, is_noisy
from textleak.updates.fitting import fitted
from textleak.updates.stored import Stored

if TYPE_CHECKING:
    from textleak.models.text_model import TextModel


class Inspection(BaseModel):
    """What is told of a file.

    Attributes:
        source: the file or folder.
        format: what it is, in words.
        kind: what its numbers are; None without a model.
        tensors: how many it holds.
        numbers: how many they hold together.
        types: the types of their numbers.
        facts: what textleak's header says of it; empty in files of others.
        notes: how its tensors were mapped to the model's.
        could: what an attacker could do with it.
        missing: what an attacker lacks, and how it is stated where it is known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_version: Literal[2] = Field(default=2, alias="schema")
    command: Literal["inspect"] = "inspect"
    source: str
    format: str
    kind: str | None = None
    tensors: int
    numbers: int
    types: tuple[str, ...]
    facts: dict[str, Any] = {}
    notes: tuple[str, ...] = ()
    could: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """The same for people."""
        types = ", ".join(self.types)
        yield f"{self.source}: {self.format}, {self.tensors} tensors, {self.numbers:,} numbers ({types})"
        if self.kind is not None:
            yield f"  holds: {self.kind}"
        yield from (f"  {note}" for note in self.notes)
        yield from (f"  header: {key} {value}" for key, value in self.facts.items())
        yield from (f"  could: {line}" for line in self.could)
        yield from (f"  missing: {line}" for line in self.missing)


def inspected(stored: Stored, model: TextModel | None) -> Inspection:
    """What `stored` holds; with a model, what it maps to and what its tensors give away.

    Raises:
        UpdateError: it does not fit the model.
    """
    moments = () if stored.optimizer is None else stored.optimizer.moments
    every = [*stored.tensors.values(), *stored.arrays, *moments]
    tensors = [tensor for tensor in every if tensor is not None]
    facts = stored.metadata
    told = {} if facts == UpdateMetadata() else facts.model_dump(mode="json", exclude_defaults=True)
    about: dict[str, Any] = dict(
        source=stored.source,
        format=stored.format,
        tensors=stored.count,
        numbers=sum(tensor.numel() for tensor in tensors),
        types=tuple(sorted({str(t.dtype).removeprefix("torch.") for t in tensors})),
        facts=told,
    )
    if facts.task not in (None, *TEXT_TASKS):
        told_by = f"what its pictures give away: textleak vision invert {stored.source}"
        return Inspection(**about, missing=(told_by,))
    if model is None:
        return Inspection(**about, missing=("the model: give --model", *_unstated(facts)))
    found = fitted(stored, model)
    return Inspection(
        **about,
        kind=found.kind,
        notes=found.notes,
        could=tuple(_could(model, found.update)),
        missing=(*_withheld(model, found.update), *_unstated(facts)),
    )


def _could(model: TextModel, update: SharedUpdate) -> Iterator[str]:
    """What the tensors that are there give away, by the model's own handles."""
    shared, family = update.gradients, model.family
    table = family.embeddings.words.of(shared)
    if table is not None:
        if is_noisy(table) and not family.head.tied:
            yield "words: every row of the table moved (noise or weight decay): by correlation"
        elif family.head.tied:
            yield "words: blurred by the decoder, which is tied to their table"
        else:
            yield f"words: {len(active_rows(table))} rows of the table moved, those of the batch"
    places = family.embeddings.positions
    at_places = None if places is None else places.of(shared)
    if at_places is not None and not is_noisy(at_places):
        yield f"lengths: {len(active_rows(at_places))} places were used, the longest sequence's"
    if any(part.of(shared) is not None for part in family.layer(0).inputs):
        yield "sentences: layer 0's inputs span what it read (subspace)"
    if family.head.output.bias_of(shared) is not None:
        yield "labels: the head's bias tells which there were"
    yield "gradient matching (dlg, tag, cosine, lamp), with the batch size and lengths"


def _withheld(model: TextModel, update: SharedUpdate) -> Iterator[str]:
    lacking = [name for name in model.parameters if name not in update.gradients]
    if lacking:
        yield f"{len(lacking)} of {len(model.parameters)} parameters (first: {lacking[0]})"


def _unstated(facts: UpdateMetadata) -> Iterator[str]:
    if facts.task is None:
        yield "the task: give --task"
    if facts.batch_size is None and facts.lengths is None:
        yield "the batch size and lengths: give --lengths to dlg and its like; subspace finds them"
