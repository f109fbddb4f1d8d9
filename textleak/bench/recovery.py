"""How much of whole batches an attack recovers, and what it costs.

python -m textleak.bench.recovery --data lines.jsonl --task classification --batch-size 8 \
    --batches 20 --json out.json

Consecutive lines (`{"text": …, "label": …}`) form batches, one update each. Lengths, labels, masked
positions and the batch size are not granted unless `--grant` names them.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

from textleak.attacks import ATTACKS
from textleak.audit import PrivateText, Watcher, audit_client
from textleak.audit.result import BatchResult
from textleak.audit.run import AttackCall
from textleak.client import ClientOptions
from textleak.events import OnEvent
from textleak.models import ModelOptions, TextModel, load_model
from textleak.reconstruction import Reconstruction
from textleak.threat_model import ThreatModel
from textleak.update import SharedUpdate

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
        self, model: TextModel, update: SharedUpdate, *, seed: int, on_event: OnEvent | None
    ) -> Reconstruction:
        """Degrade the update, attack it, and time the processor."""
        draw = torch.Generator().manual_seed(seed)
        lossy = {
            name: g + self.noise * torch.randn(g.shape, generator=draw) if self.noise else g
            for name, g in update.gradients.items()
        }
        lossy = {name: g.to(self.dtype).to(g.dtype) for name, g in lossy.items()}
        before = time.process_time()
        found = self.attack(model, replace(update, gradients=lossy), seed=seed, on_event=on_event)
        self.cpu_seconds.append(time.process_time() - before)
        return found


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


def read_batches(path: Path, size: int, count: int, skip: int, task: str) -> list[PrivateText]:
    """Consecutive lines of a JSON-lines file as batches; a file too short is read as far as it goes."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    rows = rows[skip:]
    batches = [rows[i * size : (i + 1) * size] for i in range(min(count, len(rows) // size))]
    classes = task == "classification"
    return [
        PrivateText([r["text"] for r in part], [int(r["label"]) for r in part] if classes else None)
        for part in batches
    ]


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means of the scores, medians of the costs."""
    means = {
        name: sum(row[name] for row in rows) / len(rows)
        for name in ("exact", "token_match", "rouge1", "rouge2", "verified")
    }
    costs = {name: median(row[name] for row in rows) for name in ("seconds", "cpu_seconds")}
    return {"batches": len(rows), **means, **costs}


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
    batches = read_batches(given.data, given.batch_size, given.batches, given.skip, given.task)
    audit_client(
        model,
        attack,
        batches,
        options=ClientOptions(seed=given.seed),
        threat_model=threat,
        seed=given.seed,
        watcher=printing,
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
    made.add_argument("--task", choices=("classification", "mlm"), default="classification")
    made.add_argument("--model", default="minilm")
    made.add_argument("--attack", default="subspace")
    made.add_argument("--options", default="{}", help="the attack's options as JSON")
    made.add_argument("--batch-size", type=int, default=8)
    made.add_argument("--batches", type=int, default=20)
    made.add_argument("--skip", type=int, default=0, help="lines to leave out at the start")
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
