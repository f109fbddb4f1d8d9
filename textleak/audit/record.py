"""What an audit found, as it is written."""

from __future__ import annotations

from typing import Any

from textleak.audit.each import Result
from textleak.audit.result import Audit, BaseAudit, BatchResult, SequenceResult
from textleak.metrics import METRICS
from textleak.results.header import RunHeader
from textleak.results.history import HistoryRow
from textleak.results.record import STANDING, BatchRecord, RunRecord, SequenceRecord, finite


def run_record(header: RunHeader, audit: Audit, histories: list[list[HistoryRow]]) -> RunRecord:
    """The record of an audited run.

    Args:
        header: what the run assumed.
        audit: its scored results.
        histories: the kept iterations, one list an update.
    """
    kept = histories + [[]] * (len(audit.batches) - len(histories))
    return RunRecord(
        **dict(header),
        sequences=[sequence_record(s) for s in audit.sequences],
        token_match=audit.mean("token_match"),
        exact_rate=audit.mean("exact"),
        rouge1=audit.mean("rouge1"),
        rouge2=audit.mean("rouge2"),
        rougeL=audit.mean("rougeL"),
        metrics={
            name: mean
            for name in audit.metrics
            if name not in STANDING and (mean := finite(audit.mean(name))) is not None
        },
        metric_views={
            name: METRICS.load(name).view for name in audit.metrics if name not in STANDING
        },
        label_accuracy=audit.label_accuracy,
        determined_rate=audit.determined_rate,
        batches=[batch_record(b, rows) for b, rows in zip(audit.batches, kept, strict=False)],
        **outcome(audit),
    )


def outcome(audit: BaseAudit[Any]) -> dict[str, Any]:
    """What the record of every run has, whatever was recovered."""
    return dict(
        verified=audit.verified,
        verdict=audit.verdict,
        gradient_error=finite(audit.gradient_error),
        scale=finite(audit.scale),
        evaluations=audit.evaluations,
        seconds=audit.seconds,
        seconds_per_evaluation=audit.seconds / audit.evaluations if audit.evaluations else None,
        stopped=audit.stopped,
        interrupted=audit.interrupted,
        failures=audit.failures,
        notes=audit.notes,
        warnings=audit.warnings,
    )


def batch_record(batch: BatchResult, history: list[HistoryRow]) -> BatchRecord:
    """The record of one attacked update."""
    return BatchRecord(
        size=len(batch.sequences),
        history=history,
        undetermined=batch.undetermined,
        **attacked(batch),
    )


def attacked(result: Result) -> dict[str, Any]:
    """What the record of every attacked update has."""
    found = result.reconstruction
    return dict(
        verified=found.verified,
        verdict=found.verdict.word,
        scale=finite(found.verdict.scale),
        gradient_error=finite(found.gradient_error),
        objective=finite(found.candidate.objective),
        evaluations=found.evaluations,
        seconds=found.seconds,
        stopped=found.stopped,
        failure=result.failure,
    )


def sequence_record(sequence: SequenceResult) -> SequenceRecord:
    """The record of one sentence."""
    scores, margin = sequence.scores, sequence.margin
    return SequenceRecord(
        reference=sequence.reference,
        recovered=sequence.recovered,
        reference_ids=sequence.reference_ids,
        recovered_ids=sequence.recovered_ids,
        token_match=scores.get("token_match"),
        exact=bool(scores["exact"]) if "exact" in scores else None,
        rouge1=scores.get("rouge1"),
        rouge2=scores.get("rouge2"),
        rougeL=scores.get("rougeL"),
        metrics={name: v for name, v in scores.items() if name not in STANDING},
        reference_pair=sequence.reference_pair,
        recovered_pair=sequence.recovered_pair,
        confidence=sequence.confidence,
        verified=sequence.verdict.word == "proven",
        verdict=sequence.verdict.word,
        open_places=list(sequence.verdict.places),
        determined=None if margin is None else margin.determined,
        margin=None if margin is None else _nats(margin.nats),
        token_margins=[] if margin is None else [_nats(nats) for nats in margin.tokens],
        competitor=None if margin is None else margin.competitor,
        label=sequence.label,
        reference_label=sequence.reference_label,
    )


def _nats(nats: float) -> float | None:
    """Nats to four digits: those behind them follow from how many candidates memory takes at once."""
    return finite(float(f"{nats:.4g}"))
