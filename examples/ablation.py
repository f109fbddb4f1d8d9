"""What each step from `dlg-paper` to `dlg` is worth: one table row a step, over the same sentences.

    python examples/ablation.py lines.txt --model bert-mini --count 3 --seconds 60

Each row keeps the changes of the rows above it. A run stops at its first iteration past `--seconds`
of processor time and is scored as it stands.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import torch

from textleak.attacks import ATTACKS
from textleak.audit import Audit, PrivateText, audit_client
from textleak.client import ClientOptions
from textleak.client.reading import read_sentences
from textleak.core.budget import Budget
from textleak.core.threat_model import ThreatModel
from textleak.models import ModelOptions, TextModel, load_model

STEPS: list[tuple[str, dict[str, Any]]] = [
    ("dlg-paper", {}),
    ("+ line search", {"optimizer": "lbfgs", "iterations": 400}),
    ("+ cosine of each tensor", {"distance": "cosine"}),
    ("+ joint labels as normalised squares", {"simplex": "squares"}),
    ("+ labels read off", {"labels": "analytic"}),
    (
        "+ position rows ×20, masked places from their norms",
        {"position_weight": 20.0, "mask_prior": True},
    ),
    ("+ two restarts", {"restarts": 2}),
    ("+ decode to the words of the gradient", {"words": "gradient"}),
    ("+ discrete search = dlg", {"discrete": True, "iterations": 30, "rounds": 5}),
]


def audit(
    model: TextModel, sentences: list[str], name: str, options: dict[str, Any], seconds: float
) -> Audit:
    """Attack every sentence by itself; a spent budget ends one attack, not the audit."""
    kind = ATTACKS.load(name)
    attack = kind(kind.options_class(**options))
    budget = Budget(seconds, clock=time.process_time)
    batches = []
    for seed, sentence in enumerate(sentences):
        found = audit_client(
            model,
            attack,
            [PrivateText([sentence])],
            options=ClientOptions(seed=seed),
            threat_model=ThreatModel(),
            seed=seed,
            budget=budget,
        )
        batches += found.batches
    return Audit(batches)


def row(label: str, found: Audit) -> str:
    """One line of the table."""
    runs = [batch.reconstruction for batch in found.batches]
    seconds = sum(run.seconds for run in runs) / len(runs)
    evaluations = sum(run.evaluations for run in runs) / len(runs)
    match, rouge = found.mean("token_match") or 0.0, found.mean("rouge2") or 0.0
    exact = sum(run.verified for run in runs)
    return (
        f"| {label} | {match:.2f} | {rouge:.2f} | {exact}/{len(runs)} "
        f"| {evaluations:.0f} | {seconds:.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--model", default="bert-mini")
    parser.add_argument("--activation", default="keep")
    parser.add_argument("--count", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--only", help="rows whose label contains this")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    sentences = read_sentences(given.file)[0][: given.count]
    model = load_model(ModelOptions(name=given.model, activation=given.activation), "mlm")
    print("| step | token match | ROUGE-2 | verified | evaluations | seconds |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    options: dict[str, Any] = {}
    for label, change in STEPS:
        options |= change
        if not given.only or given.only in label:
            found = audit(model, sentences, "dlg-paper", options, given.seconds)
            print(row(label, found), flush=True)


if __name__ == "__main__":
    main()
