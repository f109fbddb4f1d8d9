"""Pair a reconstruction with the truth and apply every metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from textleak.audit.result import BatchResult, SequenceResult
from textleak.core.reconstruction import TextReconstruction
from textleak.metrics import METRICS, Pair
from textleak.metrics.assignment import best_pairing
from textleak.metrics.sentence import SentenceFrame
from textleak.models.text_model import TextModel

_NO_WORD = (
    -1
)  # where the tokenizer does not know a word, [UNK] is no word of the text that came back


def score(
    model: TextModel,
    found: TextReconstruction,
    references: Sequence[Sequence[int]] | None = None,
    labels: Sequence[Any] | None = None,
) -> BatchResult:
    """The recovered sentences in the order of their references, each with its scores.

    Args:
        model: the model, for its tokenizer.
        found: what the attack returned.
        references: the true token ids, special tokens included; None where the truth is not known.
        labels: the true classes of a classification task.
    """
    frame = frame_of(model)
    recovered = [frame.inner(ids) for ids in found.token_ids]
    if references is None:
        return BatchResult(
            [_sequence(model, found, i, frame) for i in range(len(recovered))], found
        )
    true_ids = [frame.inner(ids) for ids in references]
    sequences = []
    for i, at in enumerate(best_pairing(true_ids, recovered)):
        plain = SequenceResult("", []) if at is None else _sequence(model, found, at, frame)
        label = None if labels is None else int(labels[i])
        sequences.append(_scored(model, plain, true_ids[i], label))
    return BatchResult(sequences, found)


def frame_of(model: TextModel) -> SentenceFrame:
    """How many special tokens stand around each sequence that the model is fed."""
    return SentenceFrame(len(model.marks.begin), len(model.marks.end))


def _sequence(
    model: TextModel, found: TextReconstruction, at: int, frame: SentenceFrame
) -> SequenceResult:
    ids = frame.inner(found.token_ids[at])
    confidence = found.candidate.confidence
    return SequenceResult(
        recovered=model.decode(ids),
        recovered_ids=ids,
        recovered_pair=model.parts(ids),
        confidence=frame.inner(confidence[at]) if at < len(confidence) else [],
        label=found.labels[at][0] if model.task.one_class and found.labels else None,
        verdict=found.verdict.parts[at],
    )


def _scored(
    model: TextModel, plain: SequenceResult, reference_ids: list[int], label: int | None
) -> SequenceResult:
    reference = model.decode(reference_ids)
    unknown = model.tokenizer.unk_token_id
    words = [_NO_WORD if token == unknown else token for token in reference_ids]
    said = model.decode([token for token in plain.recovered_ids if token != unknown])
    pair = Pair(words, plain.recovered_ids, reference, said)
    scores = {name: float(METRICS.load(name).compute(pair)) for name in METRICS}
    return replace(
        plain,
        reference=reference,
        reference_ids=reference_ids,
        reference_pair=model.parts(reference_ids),
        reference_label=label,
        scores=scores,
    )
