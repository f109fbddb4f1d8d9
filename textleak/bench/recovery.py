"""How much of whole batches an attack recovers, and what it costs.

python -m textleak.bench.recovery --data lines.jsonl --task classification --batch-size 8 \
    --batches 20 --json out.json

Consecutive lines (`{"text": …, "label": …}`) form batches, one update each; where more batches are
asked for than the lines allow, they are drawn anew in another order. With `--tokens` each sequence is
made of as many lines as give that many tokens. Lengths, labels, masked positions and the batch size
are not granted unless `--grant` names them.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

from textleak.attacks import ATTACKS
from textleak.audit import AttackCall, PrivateText, Watcher, audit_client
from textleak.audit.result import BatchResult
from textleak.client import ClientOptions
from textleak.core.budget import Budget
from textleak.core.events import OnEvent
from textleak.core.reconstruction import TextReconstruction
from textleak.core.threat_model import ThreatModel
from textleak.core.update import SharedUpdate
from textleak.models import ModelOptions, TextModel, load_model
from textleak.tasks import TASKS, TEXT_TASKS

Row = dict[str, Any]
GRANTS = ("batch_size", "lengths", "labels", "masked_positions")


@dataclass
class Degraded:
    """An attack that gets the update as a lossy channel delivers it.

    Attributes:
        attack: the attack.
        dtype: the precision that the gradients were sent in.
        noise: standard deviation of Gaussian noise on every entry.
        cpu_seconds: processor time of each attack so far.
    """

    attack: AttackCall
    dtype: torch.dtype
    noise: float
    cpu_seconds: list[float]

    def __call__(
        self,
        model: TextModel,
        update: SharedUpdate,
        *,
        seed: int,
        budget: Budget | None,
        on_event: OnEvent | None,
    ) -> TextReconstruction:
        """Degrade the update, attack it, and time the processor."""
        draw = torch.Generator().manual_seed(seed)
        lossy = {
            name: g + self.noise * torch.randn(g.shape, generator=draw) if self.noise else g
            for name, g in update.gradients.items()
        }
        lossy = {name: g.to(self.dtype).to(g.dtype) for name, g in lossy.items()}
        before = time.process_time()
        given = replace(update, gradients=lossy)
        try:
            found: TextReconstruction = self.attack(
                model, given, seed=seed, budget=budget, on_event=on_event
            )
            return found
        finally:
            self.cpu_seconds.append(time.process_time() - before)


class Printing(Watcher):
    """Prints one line a batch, and keeps it as a row."""

    def __init__(self, attack: Degraded) -> None:
        self.attack = attack
        self.rows: list[dict[str, Any]] = []

    def scored(self, result: BatchResult) -> None:
        """Print what one update gave."""
        count = len(result.sequences)
        row: dict[str, Any] = {
            name: sum(s.scores.get(name, 0.0) for s in result.sequences) / count
            for name in ("exact", "token_match", "rouge1", "rouge2")
        }
        found = result.reconstruction
        row |= {
            "tokens": sum(len(s.reference_ids or []) + 2 for s in result.sequences),
            "seconds": found.seconds,
            "cpu_seconds": self.attack.cpu_seconds[-1],
            "evaluations": found.evaluations,
            "verified": found.verified,
            "gradient_error": found.gradient_error,
            "notes": list(found.candidate.notes),
        }
        self.rows.append(row)
        print(
            f"{len(self.rows):3d}  {row['tokens']:4d} tokens  exact {row['exact']:.3f}  "
            f"R1 {row['rouge1']:.3f}  R2 {row['rouge2']:.3f}  {row['cpu_seconds']:6.2f} s cpu  "
            f"{row['seconds']:6.2f} s  {'verified' if found.verified else 'not verified'}",
            flush=True,
        )


def read_lines(path: Path, skip: int) -> list[Row]:
    """The lines of a JSON-lines file behind the first `skip`."""
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines if line.strip()][skip:]


def joined(rows: Sequence[Row], model: TextModel, tokens: int) -> list[Row]:
    """Lines joined, in their order, to sequences of exactly `tokens` tokens, frame included."""
    made: list[Row] = []
    pieces: list[str] = []
    for row in rows:
        pieces += model.tokenizer.tokenize(row["text"])
        if len(pieces) >= tokens - 2:
            text = model.tokenizer.convert_tokens_to_string(pieces[: tokens - 2])
            made.append({"text": text, "label": row.get("label", 0)})
            pieces = []
    return made


def batches_of(rows: Sequence[Row], size: int, count: int, task: str) -> list[PrivateText]:
    """`count` batches of `size` lines: first in the file's order, then the lines shuffled, again and again."""
    order, draw = list(rows), random.Random(0)
    batches: list[PrivateText] = []
    while len(order) >= size and len(batches) < count:
        for start in range(0, len(order) - size + 1, size):
            part = order[start : start + size]
            classes = [int(row["label"]) for row in part] if TASKS.load(task).labelled else None
            batches.append(PrivateText([row["text"] for row in part], classes))
        draw.shuffle(order)
    return batches[:count]


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means of the scores; median, 95th percentile and most of the costs; the process's peak."""
    means = {
        name: sum(row[name] for row in rows) / len(rows)
        for name in ("exact", "token_match", "rouge1", "rouge2", "verified")
    }
    costs = {name: spread([row[name] for row in rows]) for name in ("seconds", "cpu_seconds")}
    return {"batches": len(rows), **means, **costs, "peak_bytes": peak_bytes()}


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, 95th percentile (the nearest rank) and most.

    >>> spread([1.0, 2.0, 9.0])
    {'median': 2.0, 'p95': 9.0, 'most': 9.0}
    """
    ordered = sorted(values)
    return {
        "median": median(ordered),
        "p95": ordered[math.ceil(0.95 * len(ordered)) - 1],
        "most": ordered[-1],
    }


def peak_bytes() -> int:
    """The most memory that the process held so far, the libraries and the model included."""
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes * (1 if sys.platform == "darwin" else 1024)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse, run, print, write."""
    given = parser().parse_args(arguments)
    torch.set_num_threads(given.threads)
    options = ModelOptions(name=given.model, weights_seed=given.seed)
    model = load_model(options, given.task)
    kind = ATTACKS.load(given.attack)
    chosen = kind(kind.options_class(**json.loads(given.options)))
    attack = Degraded(chosen, getattr(torch, given.dtype), given.noise, [])
    printing = Printing(attack)
    granted = {name: name in given.grant for name in GRANTS}
    threat = ThreatModel(**granted, shared=tuple(given.share))
    rows = read_lines(given.data, given.skip)
    rows = joined(rows, model, given.tokens) if given.tokens else rows
    batches = batches_of(rows, given.batch_size, given.batches, given.task)
    audit_client(
        model,
        attack,
        batches,
        options=ClientOptions(seed=given.seed),
        threat_model=threat,
        seed=given.seed,
        watcher=printing,
        determined=False,
    )
    total = summary(printing.rows)
    print(json.dumps(total))
    if given.json:
        setting = {k: str(v) if isinstance(v, Path) else v for k, v in vars(given).items()}
        whole = {"schema": 1, "setting": setting, **total, "rows": printing.rows}
        given.json.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    made.add_argument("--data", type=Path, required=True)
    made.add_argument("--task", choices=TEXT_TASKS, default="classification")
    made.add_argument("--model", default="minilm")
    made.add_argument("--attack", default="subspace")
    made.add_argument("--options", default="{}", help="the attack's options as JSON")
    made.add_argument("--batch-size", type=int, default=8)
    made.add_argument("--batches", type=int, default=20)
    made.add_argument("--skip", type=int, default=0, help="lines to leave out at the start")
    made.add_argument("--tokens", type=int, help="tokens of each sequence, of lines joined")
    made.add_argument("--share", nargs="+", default=["*"], help="patterns of shared parameters")
    made.add_argument("--grant", nargs="*", choices=GRANTS, default=[])
    made.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"))
    made.add_argument("--noise", type=float, default=0.0)
    made.add_argument("--threads", type=int, default=1)
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--json", type=Path)
    return made


if __name__ == "__main__":
    main()
