"""What an update determines of the truth, whatever an attack found of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch

from textleak.attacks.running import untouched
from textleak.audit.result import BatchResult, SequenceMargin, SequenceResult
from textleak.audit.score import frame_of
from textleak.core.batch import TokenBatch, padded
from textleak.core.update import SharedUpdate
from textleak.likelihood.margins import Margin, alone, margins
from textleak.likelihood.options import MarginOptions
from textleak.metrics.sentence import SentenceFrame
from textleak.models.text_model import TextModel
from textleak.verdict.neighbours import Neighbour

FOUND = "what the attack found"


def with_margins(
    model: TextModel,
    update: SharedUpdate,
    truth: TokenBatch,
    result: BatchResult,
    options: MarginOptions | None = None,
) -> BatchResult:
    """`result` with the margin of every true sentence over its competitors.

    Args:
        model: the public model.
        update: the shared update.
        truth: what the client fed the model, sequences in the order of the result's.
        result: the scored recovery, whose sentences compete as well.
        options: what is tried, and what determines.
    """
    chosen = options or MarginOptions()
    frame = frame_of(model)
    with untouched(model.module):
        found = margins(model, update, truth, _found(model, truth, result, frame), chosen)
    if isinstance(found, str):
        return replace(result, undetermined=found)
    sequences = [
        replace(sequence, margin=_told(model, frame.inner(range(length)), one, chosen))
        for sequence, one, length in zip(result.sequences, found, truth.lengths, strict=True)
    ]
    return replace(result, sequences=sequences)


def _found(
    model: TextModel, truth: TokenBatch, result: BatchResult, frame: SentenceFrame
) -> list[Neighbour]:
    """The recovered sentences that are not the true ones, each a competitor of the one it stands for."""
    batch, rows = result.reconstruction.candidate.batch, result.reconstruction.token_ids
    true_rows = model.task.filled(truth)
    competitors = []
    for row, sequence in enumerate(result.sequences):
        at = _row_of(sequence, rows, frame)
        if at is None or rows[at] == true_rows[row]:
            continue
        other = alone(batch, at)
        alike = len(rows[at]) == len(true_rows[row])
        pairs = zip(rows[at], true_rows[row], strict=alike)
        places = [place for place, (one, true) in enumerate(pairs) if one != true]
        if other.labels.shape[2:] == truth.labels.shape[2:]:
            competitors.append(Neighbour(row, other, tuple(places) if alike else (), FOUND))
    return competitors


def _row_of(sequence: SequenceResult, rows: list[list[int]], frame: SentenceFrame) -> int | None:
    """Which recovered row a sentence is."""
    if not sequence.recovered_ids:
        return None
    return next(
        (i for i, ids in enumerate(rows) if frame.inner(ids) == sequence.recovered_ids), None
    )


def _told(
    model: TextModel, places: Sequence[int], margin: Margin, options: MarginOptions
) -> SequenceMargin:
    return SequenceMargin(
        determined=margin.nats > options.nats,
        nats=margin.nats,
        tokens=[margin.places.get(place, math.inf) for place in places],
        competitor=model.decode(list(margin.competitor)),
        what=margin.what,
    )


def true_batch(
    model: TextModel, references: list[list[int]], result: BatchResult
) -> TokenBatch | None:
    """The truth behind an update that came from elsewhere, where its labels can be told.

    They are the recovered batch's, where it has the true words: which words a client masked is
    not in its text.
    """
    batch, rows = result.reconstruction.candidate.batch, result.reconstruction.token_ids
    left, order = list(range(len(rows))), []
    for ids in references:
        at = next((i for i in left if rows[i] == list(ids)), None)
        if at is None:
            return _labelled(model, references, result)
        left.remove(at)
        order.append(at)
    return batch.take(order)


def _labelled(
    model: TextModel, references: list[list[int]], result: BatchResult
) -> TokenBatch | None:
    """The true words with labels that are known: given classes, or none but the words' own."""
    labels = [sequence.reference_label for sequence in result.sequences]
    ids, mask = padded(references, int(model.tokenizer.pad_token_id))
    if model.task.one_class and all(label is not None for label in labels):
        return TokenBatch(ids, mask, torch.tensor(labels))
    if model.task.words and model.task.bears == "tokens":
        return model.task.relabelled(TokenBatch(ids, mask, ids))
    return None
