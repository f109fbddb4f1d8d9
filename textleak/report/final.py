"""The end report: each sentence over its recovery, then what it all comes to."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.text import Text

from textleak.report.alignment import Alignment
from textleak.report.facts import Facts
from textleak.report.history import history_table
from textleak.report.metrics import outside_scores
from textleak.results.pieces import Pieces
from textleak.results.record import (
    BatchRecord,
    OutcomeRecord,
    RunRecord,
    SequenceRecord,
    UpdateRecord,
)

_ONE = 1e-3  # a factor this near to one is not worth a word
_TEN, _MANY = 10, 1e6  # where a margin is shown with a decimal, and with an exponent


def sequence_view(sequence: SequenceRecord, pieces: Pieces) -> RenderableType:
    """One sentence: reference over recovery token by token, and its scores."""
    found = pieces(sequence.recovered_ids)
    truth = None if sequence.reference_ids is None else pieces(sequence.reference_ids)
    parts: list[RenderableType] = [Alignment(found, truth)]
    scores = _scores(sequence)
    if scores.plain:
        parts.append(Padding(scores, (0, 0, 0, 11)))
    return Group(*parts)


def _scores(sequence: SequenceRecord) -> Text:
    text = Text(style="dim")
    if sequence.token_match is not None:
        text.append(f"token match {sequence.token_match:.3f}, {_rouge(sequence)}")
        text.append(", exact" if sequence.exact else ", not exact")
    if sequence.verdict == "consistent":
        text.append((", " if text.plain else "") + "not proven" + _where(sequence))
    if sequence.standing not in ("", "found"):
        text.append(f", {sequence.standing} ({nats(sequence.margin)})")
    if sequence.label is not None:
        text.append(", " if text.plain else "")
        text.append(f"class {sequence.label}")
        if sequence.reference_label is not None and sequence.label != sequence.reference_label:
            text.append(f" (truth: {sequence.reference_label})")
    return text


def _where(sequence: SequenceRecord) -> str:
    places = sequence.open_places
    return f" at place {', '.join(map(str, places))}" if places else ""


def _rouge(scored: SequenceRecord | RunRecord) -> str:
    values = (scored.rouge1, scored.rouge2, scored.rougeL)
    shown = "ROUGE-1/2/L " + " ".join(f"{value or 0:.3f}" for value in values)
    kept = scored.metric_views if isinstance(scored, RunRecord) else None
    return ", ".join([shown, *outside_scores(scored.metrics, kept)])


def batch_view(
    sequences: list[SequenceRecord], batch: BatchRecord, pieces: Pieces, title: str = ""
) -> RenderableType:
    """The sentences of one update, with a line on its verification and cost."""
    blocks: list[RenderableType] = [Rule(title, style="dim", align="left")]
    blocks += [sequence_view(sequence, pieces) for sequence in sequences]
    if title:
        blocks.append(Padding(update_line(batch), (0, 0, 0, 11)))
    return Group(*blocks)


def update_line(update: UpdateRecord) -> Text:
    """What an update came to in a line: its verification and cost, or why it failed."""
    told = f"verified: {_verified(update)}; {_cost(update)}"
    return Text(f"failed: {update.failure}" if update.failure else told, style="dim")


def outcome_view(
    sequences: list[SequenceRecord],
    batch: BatchRecord,
    pieces: Pieces,
    *,
    index: int = 0,
    count: int = 1,
    history: bool = True,
) -> RenderableType:
    """What update `index` of `count` came to; a single update also with its history."""
    title = f"update {index + 1} of {count}" if count > 1 else ""
    view = batch_view(sequences, batch, pieces, title)
    if title or not history or not batch.history:
        return view
    truth = [s.reference for s in sequences if s.reference is not None]
    return Group(Rule(style="dim"), history_table(batch.history, truth), view)


def summary_view(record: RunRecord) -> RenderableType:
    """What the run comes to: rates, verification, cost, assumptions, notes and warnings."""
    facts = Facts()
    if record.token_match is not None:
        count = sum(s.exact is not None for s in record.sequences)
        exact = sum(bool(s.exact) for s in record.sequences)
        match = Text(f"{record.token_match:.3f}", style="bold")
        match.append(f", {_rouge(record)}, exact {exact} of {count}", style="not bold")
        facts.add("token match", match)
    if record.label_accuracy is not None:
        facts.add("classes right", f"{record.label_accuracy:.0%}")
    _add_determined(facts, record)
    add_outcome(facts, record, empty=not record.sequences)
    return Group(Rule(style="dim"), facts.grid)


def _add_determined(facts: Facts, record: RunRecord) -> None:
    """How many sentences are found, determined but not found, or hidden."""
    known = [s for s in record.sequences if s.determined is not None]
    for why in dict.fromkeys(b.undetermined for b in record.batches if b.undetermined):
        facts.add("determined", f"not known: {why}", "yellow")
    if not known:
        return
    margins = [s.margin for s in known if s.margin is not None]
    least = f", the least margin {nats(min(margins))}" if margins else ""
    given = sum(bool(s.determined) for s in known)
    lost = sum(s.standing == "determined, not found" for s in known)
    text = f"{given} of {len(known)} by the update{least}"
    facts.add("determined", text + (f"; {lost} not found by this attack" if lost else ""))


def nats(margin: float | None) -> str:
    """A margin for people.

    >>> nats(80.81), nats(0.31), nats(9.1e8), nats(None)
    ('81 nats', '0.31 nats', '9e+08 nats', 'without bound')
    """
    if margin is None:
        return "without bound"
    shown = ".2g" if margin < _TEN else ".0f" if margin < _MANY else ".0e"
    return f"{margin:{shown}} nats"


def add_outcome(facts: Facts, record: OutcomeRecord, *, empty: bool) -> None:
    """Append what every run's end says: verification, cost, assumptions, notes and warnings.

    Args:
        facts: what is appended to.
        record: the run.
        empty: nothing was recovered.
    """
    style = "bold green" if record.verified else "bold yellow"
    facts.add("verified", _verified(record), style)
    facts.add("cost", _cost(record))
    facts.add("attack", record.title + f", seed {record.seed}")
    facts.add("attacker", record.threat_model.describe(record.task))
    for defence in record.defences:
        facts.add("defence", defence)
    if record.chance is not None:
        facts.add("client", record.chance, "yellow")
    if record.privacy is not None:
        facts.add("privacy", record.privacy.describe())
    for note in (*record.model_notes, *record.notes):
        facts.add("note", note)
    for warning in record.warnings:
        facts.add("warning", warning, "yellow")
    for failure in record.failures:
        facts.add("failed", failure, "yellow")
    if record.interrupted:
        found = "before anything was found" if empty else "by you: this is what was found so far"
        facts.add("interrupted", f"stopped {found}", "yellow")


def _verified(result: OutcomeRecord | UpdateRecord) -> str:
    if result.gradient_error is None:
        return "no"
    return f"{answer(result)}, relative gradient error {result.gradient_error:.1e}{factor(result.scale)}"


def answer(result: OutcomeRecord | UpdateRecord) -> str:
    """Whether a recovery is proven; where not, what is said of it instead."""
    if result.verified:
        return "yes"
    return "no" if result.verdict is None else f"no ({result.verdict})"


def factor(scale: float | None) -> str:
    """The factor up to which the gradients agree, where it is not one."""
    if not scale or abs(scale - 1) < _ONE:
        return ""
    return f", matches up to a factor of {scale:.4g}"


def _cost(result: OutcomeRecord | UpdateRecord) -> str:
    each = result.seconds / result.evaluations if result.evaluations else None
    tail = f" ({each:.3f} s each)" if each is not None else ""
    return f"{result.evaluations} evaluations in {result.seconds:.1f} s{tail}"
