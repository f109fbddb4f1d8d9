"""Scored recoveries, and their sums over a batch and over many."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Generic

from textleak.audit.each import ResultT
from textleak.core.budget import Stop
from textleak.core.reconstruction import TextReconstruction
from textleak.core.verdict import PartVerdict, Word, worst
from textleak.metrics import AGGREGATES, METRICS


@dataclass(frozen=True)
class SequenceMargin:
    """How much likelier a true sentence is than its competitors, whatever an attack finds.

    Attributes:
        determined: it is by more than the margin that determines.
        nats: the least margin.
        tokens: the least of those competitors that change a token, for each; inf where none does.
        competitor: the likeliest other text.
        what: how it differs.
    """

    determined: bool
    nats: float
    tokens: list[float]
    competitor: str
    what: str


@dataclass(frozen=True)
class SequenceResult:
    """One recovered sentence beside its reference.

    Attributes:
        recovered: the recovered text, special tokens left out.
        recovered_ids: its ids; at a masked position stands the recovered word.
        confidence: the attack's confidence in each of these ids, 0 to 1; may be empty.
        label: the recovered class of a classification task.
        reference: the true text, where it is known.
        reference_ids: its ids.
        reference_label: the true class of a classification task.
        reference_pair: the true text's segments, where it is a pair.
        recovered_pair: the recovered text's.
        scores: every metric by name; empty without a reference.
        verdict: what the update says of it.
        margin: how well the update determines it, found or not; None where that was not looked at.
    """

    recovered: str
    recovered_ids: list[int]
    confidence: list[float] = field(default_factory=list)
    label: int | None = None
    reference: str | None = None
    reference_ids: list[int] | None = None
    reference_label: int | None = None
    reference_pair: list[str] | None = None
    recovered_pair: list[str] | None = None
    scores: dict[str, float] = field(default_factory=dict)
    verdict: PartVerdict = field(default_factory=lambda: PartVerdict("unexplained"))
    margin: SequenceMargin | None = None


@dataclass(frozen=True)
class BatchResult:
    """One attacked update: its sentences in the order of their references, and what it cost.

    Attributes:
        sequences: its sentences.
        reconstruction: what the attack returned.
        failure: why the attack came to nothing, where it did; the reconstruction is empty then.
        undetermined: why it was not looked at what the update determines, where it was meant to.
    """

    sequences: list[SequenceResult]
    reconstruction: TextReconstruction
    failure: str | None = None
    undetermined: str = ""

    @property
    def scored(self) -> bool:
        """Whether the truth is known."""
        return any(sequence.scores for sequence in self.sequences)


@dataclass(frozen=True)
class BaseAudit(Generic[ResultT]):
    """Every attacked update of a run, whatever it is of.

    Attributes:
        batches: one result an update.
        interrupted: the user stopped the run; what was found so far is here.
    """

    batches: list[ResultT]
    interrupted: bool = False

    @property
    def stopped(self) -> Stop | None:
        """What ended the run, or the attack on one of its updates, early."""
        cut = any(b.reconstruction.stopped == "budget" for b in self.batches)
        return "user" if self.interrupted else "budget" if cut else None

    @property
    def verified(self) -> bool:
        """Whether every recovered batch is proven."""
        return self.verdict == "proven"

    @property
    def verdict(self) -> Word:
        """The worst that is said of any batch; of none, that nothing is explained."""
        return worst([b.reconstruction.verdict.word for b in self.batches])

    @property
    def scale(self) -> float | None:
        """The factor of the shared gradients on the recomputed ones; None where updates differ."""
        scales = [b.reconstruction.verdict.scale for b in self.batches]
        alike = scales and max(scales) - min(scales) <= 1e-4 * max(map(abs, scales))
        return scales[0] if alike else None

    @property
    def gradient_error(self) -> float | None:
        """The largest relative gradient error of any batch."""
        errors = [b.reconstruction.gradient_error for b in self.batches]
        return math.nan if any(map(math.isnan, errors)) else max(errors, default=None)

    @property
    def failures(self) -> list[str]:
        """Why attacks came to nothing, one an update that failed."""
        return [b.failure for b in self.batches if b.failure is not None]

    @property
    def evaluations(self) -> int:
        """Candidate gradients evaluated, over all batches."""
        return sum(b.reconstruction.evaluations for b in self.batches)

    @property
    def seconds(self) -> float:
        """Seconds of attack, over all batches."""
        return sum(b.reconstruction.seconds for b in self.batches)

    @property
    def warnings(self) -> list[str]:
        """What makes the results unreliable, each once."""
        said = (w for b in self.batches for w in b.reconstruction.warnings)
        return list(dict.fromkeys(said))

    @property
    def notes(self) -> list[str]:
        """What the attack says of how it got there, each once."""
        said = (note for b in self.batches for note in b.reconstruction.candidate.notes)
        return list(dict.fromkeys(said))


@dataclass(frozen=True)
class Audit(BaseAudit[BatchResult]):
    """Every attacked update of a run on text."""

    @property
    def sequences(self) -> list[SequenceResult]:
        """The sentences of every batch."""
        return [sequence for batch in self.batches for sequence in batch.sequences]

    def mean(self, metric: str) -> float | None:
        """What a metric comes to over all sentences, a mean if it says nothing else; None without truth."""
        values = [s.scores[metric] for s in self.sequences if metric in s.scores]
        return AGGREGATES[METRICS.load(metric).aggregate](values) if values else None

    @property
    def metrics(self) -> list[str]:
        """The names of all metrics that some sentence was scored by."""
        return list(dict.fromkeys(name for s in self.sequences for name in s.scores))

    @property
    def label_accuracy(self) -> float | None:
        """The fraction of right classes; None for other tasks or where no truth is known."""
        known = [s for s in self.sequences if s.reference_label is not None]
        return sum(s.label == s.reference_label for s in known) / len(known) if known else None

    @property
    def determined_rate(self) -> float | None:
        """The fraction of determined sentences; None where none was looked at."""
        known = [s.margin.determined for s in self.sequences if s.margin is not None]
        return sum(known) / len(known) if known else None
