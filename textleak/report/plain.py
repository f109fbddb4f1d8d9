"""Plain lines, for logs and pipes."""

from __future__ import annotations

from typing import Any

from textleak.report.live import labels_text
from textleak.report.progress import BaseProgress, Progress
from textleak.report.sparkline import objective_text


def plain_line(progress: Progress) -> str:
    """One line that says where the run stands: time, stage, objective, match, labels, text."""
    now = progress.latest
    if now is None:
        return "starting …"
    parts = standing_parts(progress)
    match = progress.token_match()
    if match is not None:
        parts.append(f"{match:.0%} of tokens right")
    if any(now.labels):
        parts.append(f"labels {labels_text(now.labels)}")
    return "  ".join(parts) + ": " + " | ".join(now.texts)


def standing_parts(progress: BaseProgress[Any]) -> list[str]:
    """Which update, time, stage, objective and evaluations; once an iteration has come."""
    now = progress.latest
    assert now is not None
    count = f"{now.iteration}/{now.total}" if now.total else str(now.iteration)
    return [
        *([f"update {progress.index + 1}/{progress.count}"] if progress.count > 1 else []),
        f"{now.seconds:.1f} s",
        f"{now.stage} {count}",
        f"objective {objective_text(now.objective)}",
        f"{now.evaluations} evaluations",
    ]
