"""Client, update, attack, scores: one batch after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from textleak.audit.determined import true_batch, with_margins
from textleak.audit.each import NO_WATCHER, AttackCall, Scoring, Watcher, audit_each
from textleak.audit.failure import failed_update
from textleak.audit.result import Audit, BatchResult
from textleak.audit.score import score
from textleak.client import Client, ClientOptions, PrivateBatch
from textleak.client.feeding import token_rows
from textleak.core.budget import Budget
from textleak.core.reconstruction import TextReconstruction
from textleak.core.threat_model import ThreatModel
from textleak.core.update import SharedUpdate
from textleak.defences import Defences
from textleak.models.text_model import TextModel
from textleak.tasks.base import Label


@dataclass(frozen=True)
class PrivateText:
    """The sentences of one batch, with their classes for a classification task."""

    sentences: Sequence[str]
    labels: Sequence[Label] | None = None


def audit_client(
    model: TextModel,
    attack: AttackCall,
    batches: Sequence[PrivateText],
    *,
    options: ClientOptions,
    threat_model: ThreatModel,
    defences: Defences | None = None,
    seed: int = 0,
    budget: Budget | None = None,
    determined: bool = True,
    watcher: Watcher = NO_WATCHER,
) -> Audit:
    """Share each batch as a client would, attack the update, and score what comes back.

    Batch `i` takes `seed + i` for the attack, and for the client its own seed + `i` where it has one.
    Every batch is prepared before the first is attacked: a bad sentence stops the run at its start.

    Args:
        model: the public model.
        attack: called as `attack(model, update, seed=…, budget=…, on_event=…)`.
        batches: the private sentences, one update a batch.
        options: how the client trains.
        threat_model: what is granted to the attacker.
        defences: of the client; every batch has a client of its own, at its first step.
        seed: seeds the attack.
        budget: what the attack on each update may spend; an update whose attack it ends is scored by
            the best so far, and the audit goes on.
        determined: whether it is looked at what each update determines, found or not.
        watcher: told of every step.

    Raises:
        DataError: a sentence that is empty or too long, or labels that do not fit.
        TextleakError: no update could be attacked; where only some fail, their results say so.
    """
    prepared = _prepared(model, batches, options, threat_model, defences)
    exchanges = [(partial(client.share, private), private) for client, private in prepared]
    scoring = ClientText(model, determined)
    results, interrupted = audit_each(
        scoring, model, attack, exchanges, seed=seed, budget=budget, watcher=watcher
    )
    return Audit(results, interrupted=interrupted)


class ClientText(Scoring[PrivateBatch, TextReconstruction, BatchResult]):
    """The scoring of text that a client here shared.

    Args:
        model: the public model.
        determined: whether it is looked at what each update determines.
    """

    def __init__(self, model: TextModel, determined: bool = True) -> None:
        self.model = model
        self.determined = determined

    def truth(self, private: PrivateBatch) -> list[list[int]]:
        """The sentences' ids, special tokens included."""
        return private.original_ids

    def failed(self, error: Exception, seconds: float, private: PrivateBatch) -> BatchResult:
        """Nothing recovered, nothing scored."""
        return failed_update(self.model, error, seconds, private.original_ids)

    def scored(
        self, update: SharedUpdate, found: TextReconstruction, private: PrivateBatch
    ) -> BatchResult:
        """The sentences in the order of their references, with every metric and margin."""
        labels = private.batch.labels.tolist() if self.model.task.one_class else None
        result = score(self.model, found, private.original_ids, labels)
        if not self.determined or found.interrupted:
            return result
        return with_margins(self.model, update, private.batch, result)


def _prepared(
    model: TextModel,
    batches: Sequence[PrivateText],
    options: ClientOptions,
    threat_model: ThreatModel,
    defences: Defences | None,
) -> list[tuple[Client, PrivateBatch]]:
    """A client with its batch for each of the private texts."""
    prepared = []
    for i, text in enumerate(batches):
        seed = None if options.seed is None else options.seed + i
        own = options.model_copy(update={"seed": seed})
        client = Client(model, own, threat_model, defences)
        prepared.append((client, client.prepare(text.sentences, text.labels)))
    return prepared


def audit_update(
    model: TextModel,
    attack: AttackCall,
    update: SharedUpdate,
    *,
    truth: PrivateText | None = None,
    seed: int = 0,
    budget: Budget | None = None,
    determined: bool = True,
    watcher: Watcher = NO_WATCHER,
) -> Audit:
    """Attack an update that came from elsewhere; score it where the true sentences are given."""
    known = None
    if truth is not None:
        known = KnownText(token_rows(model, truth.sentences), truth.labels)
    results, interrupted = audit_each(
        ReceivedText(model, determined),
        model,
        attack,
        [(lambda: update, known)],
        seed=seed,
        budget=budget,
        watcher=watcher,
    )
    return Audit(results, interrupted=interrupted)


@dataclass(frozen=True)
class KnownText:
    """The true sentences' ids, and their classes where known."""

    ids: list[list[int]]
    labels: Sequence[Label] | None


class ReceivedText(Scoring[KnownText | None, TextReconstruction, BatchResult]):
    """The scoring of an update from elsewhere, whose sentences may be known."""

    def __init__(self, model: TextModel, determined: bool = True) -> None:
        self.model = model
        self.determined = determined

    def truth(self, private: KnownText | None) -> list[list[int]] | None:
        """The sentences' ids, special tokens included."""
        return None if private is None else private.ids

    def failed(self, error: Exception, seconds: float, private: KnownText | None) -> BatchResult:
        """Nothing recovered, nothing scored."""
        return failed_update(self.model, error, seconds, self.truth(private) or [])

    def scored(
        self, update: SharedUpdate, found: TextReconstruction, private: KnownText | None
    ) -> BatchResult:
        """The sentences, scored where the true ones are given."""
        ids = self.truth(private)
        labels = private.labels if private and self.model.task.one_class else None
        result = score(self.model, found, ids, labels)
        if not self.determined or ids is None or found.interrupted:
            return result
        return _determined(self.model, update, ids, result)


def _determined(
    model: TextModel, update: SharedUpdate, ids: list[list[int]], result: BatchResult
) -> BatchResult:
    """`result` with what the update determines, where the true labels are known."""
    batch = true_batch(model, ids, result)
    if batch is None:
        return replace(result, undetermined="the true labels or masked words are not known")
    return with_margins(model, update, batch, result)
