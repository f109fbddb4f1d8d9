"""The live view: a renderable of where a run stands."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from textleak.report.alignment import Alignment
from textleak.report.facts import Facts
from textleak.report.progress import BaseProgress, Progress
from textleak.report.sparkline import objective_text, sparkline
from textleak.results.header import RunHeader

SHOWN = 4  # sentences of a batch that fit on a screen with their references


def header_view(header: RunHeader) -> RenderableType:
    """The attack, the model and the threat model."""
    facts = Facts()
    facts.add("attack", header.title, "bold")
    facts.add("attacker", header.threat_model.describe(header.task))
    for defence in header.defences:
        facts.add("defence", defence)
    if header.chance is not None:
        facts.add("client", header.chance, "yellow")
    for note in header.model_notes:
        facts.add("weights", note)
    return facts.grid


def live_view(progress: Progress) -> RenderableType:
    """What is assumed, progress and time left, the objective's curve, labels, and the sentences as they stand."""
    now = progress.latest
    head = (header_view(progress.header), Rule(style="dim"))
    if now is None:
        return Group(*head, Text(f"starting … {clock_text(progress.seconds)}", "dim"))
    facts = standing(progress)
    if any(now.labels):
        facts.add("labels", labels_text(now.labels))
    match = progress.token_match()
    if match is not None:
        facts.add("tokens", f"{match:.0%} right")
    sentences = progress.sentences()
    blocks: list[RenderableType] = [
        Alignment(found, reference, names=("truth", "now"))
        for reference, found in sentences[:SHOWN]
    ]
    if len(sentences) > SHOWN:
        blocks.append(Text(f"… and {len(sentences) - SHOWN} more", style="dim"))
    return Group(*head, facts.grid, Text(), *blocks)


def standing(progress: BaseProgress[Any]) -> Facts:
    """Which update, the stage with the time left, and the objective's curve; once an iteration has come."""
    now = progress.latest
    assert now is not None
    facts = Facts()
    if progress.count > 1:
        facts.add("update", f"{progress.index + 1} of {progress.count}")
    facts.add("stage", _bar(progress))
    rate = progress.rate
    speed = f"  {now.evaluations} evaluations" + (f", {rate:.1f} a second" if rate else "")
    objective = Text(f"{objective_text(now.objective)}  ", style="bold")
    objective.append(sparkline(progress.objectives), style="cyan")
    objective.append(speed, style="dim")
    facts.add("objective", objective)
    return facts


def _bar(progress: BaseProgress[Any]) -> RenderableType:
    now = progress.latest
    assert now is not None
    row = Table.grid(padding=(0, 1))
    count = f"{now.iteration}/{now.total}" if now.total else str(now.iteration)
    bar = ProgressBar(total=now.total or 1, completed=now.iteration if now.total else 0, width=20)
    elapsed = Text(clock_text(progress.seconds))
    if progress.left is not None:
        elapsed.append(f", at most {clock_text(progress.left)} left", style="dim")
    row.add_row(Text(now.stage, "bold"), bar, count, elapsed)
    return row


def labels_text(labels: list[list[str]]) -> str:
    """The recovered labels of every sequence in one line.

    >>> labels_text([["cat", "sat"], ["dog"]])
    'cat sat | dog'
    """
    return " | ".join(" ".join(row) for row in labels)


def clock_text(seconds: float) -> str:
    """Seconds as minutes and seconds.

    >>> clock_text(74.6)
    '1:14'
    """
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
