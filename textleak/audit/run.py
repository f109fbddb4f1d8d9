"""Client, update, attack, scores: one batch after the other."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from textleak.audit.determined import true_batch, with_margins
from textleak.audit.failure import failed_update
from textleak.audit.result import Audit, BatchResult
from textleak.audit.score import score
from textleak.client import Client, ClientOptions, PrivateBatch
from textleak.client.feeding import token_rows
from textleak.core.budget import Budget
from textleak.core.events import Event, OnEvent
from textleak.core.reconstruction import TextReconstruction
from textleak.core.threat_model import ThreatModel
from textleak.core.update import SharedUpdate
from textleak.defences import Defences
from textleak.models.text_model import TextModel
from textleak.tasks.base import Label


class AttackCall(Protocol):
    """An attack with its options, ready to be called."""

    def __call__(
        self,
        model: TextModel,
        update: SharedUpdate,
        *,
        seed: int,
        budget: Budget | None,
        on_event: OnEvent | None,
    ) -> TextReconstruction:
        """Recover the batch behind `update`."""


class Watcher:
    """Told of every step of an audit; screens and recorders override what they need."""

    def begin(
        self,
        index: int,
        count: int,
        update: SharedUpdate | None,
        references: list[list[int]] | None,
    ) -> None:
        """Update `index` of `count` is about to be attacked.

        Args:
            index: from 0.
            count: how many there are.
            update: what was shared; None where the client could share nothing.
            references: full token ids, where they are known.
        """

    def event(self, event: Event) -> None:
        """The attack said something."""

    def scored(self, result: BatchResult) -> None:
        """The update has been attacked and scored."""


NO_WATCHER = Watcher()


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
    results: list[BatchResult] = []
    failure: Exception | None = None
    try:
        for i, (client, private) in enumerate(prepared):
            started = time.perf_counter()
            update = None
            try:
                update = client.share(private)
                watcher.begin(i, len(batches), update, private.original_ids)
                found = attack(model, update, seed=seed + i, budget=budget, on_event=watcher.event)
            except Exception as error:
                if len(batches) == 1:
                    raise
                if update is None:
                    watcher.begin(i, len(batches), None, private.original_ids)
                failure = failure or error
                spent = time.perf_counter() - started
                results.append(failed_update(model, error, spent, private.original_ids))
            else:
                labels = private.batch.labels.tolist() if model.task.one_class else None
                result = score(model, found, private.original_ids, labels)
                if determined and not found.interrupted:
                    result = with_margins(model, update, private.batch, result)
                results.append(result)
            watcher.scored(results[-1])
            if results[-1].reconstruction.interrupted:
                return Audit(results, interrupted=True)
    except KeyboardInterrupt:
        return Audit(results, interrupted=True)
    if failure is not None and all(result.failure is not None for result in results):
        raise failure
    return Audit(results)


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
    ids = None
    if truth is not None:
        ids = token_rows(model, truth.sentences)
    try:
        watcher.begin(0, 1, update, ids)
        found = attack(model, update, seed=seed, budget=budget, on_event=watcher.event)
        known = truth.labels if truth and model.task.one_class else None
        result = score(model, found, ids, known)
        if determined and ids is not None and not found.interrupted:
            result = _determined(model, update, ids, result)
        watcher.scored(result)
    except KeyboardInterrupt:
        return Audit([], interrupted=True)
    return Audit([result], interrupted=found.interrupted)


def _determined(
    model: TextModel, update: SharedUpdate, ids: list[list[int]], result: BatchResult
) -> BatchResult:
    """`result` with what the update determines, where the true labels are known."""
    batch = true_batch(model, ids, result)
    if batch is None:
        return replace(result, undetermined="the true labels or masked words are not known")
    return with_margins(model, update, batch, result)
