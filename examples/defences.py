"""What leaks under each defence: a row a defence, the attacks side by side, over the same sentences.

    python examples/defences.py lines.jsonl --attack subspace --attack dlg --seconds 30

Each cell is token match / sentences verified. `--keep FILE` keeps every cell and goes on where an earlier run stopped.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

from textleak.attacks import ATTACKS
from textleak.audit import Audit, PrivateText, audit_client
from textleak.client import ClientOptions
from textleak.client.reading import read_sentences
from textleak.core.budget import Budget
from textleak.core.errors import TextleakError
from textleak.core.threat_model import ThreatModel
from textleak.defences import Defences
from textleak.models import ModelOptions, TextModel, load_model

GRID = [
    "none",
    *(
        f"{kind}:std={std}"
        for kind in ("gaussian", "laplacian")
        for std in ("1e-4", "1e-3", "1e-2", "1e-1")
    ),
    "fp16",
    "bf16",
    "int8",
    *(f"prune:ratio={ratio}" for ratio in ("0.01", "0.1", "0.2", "0.3", "0.5", "0.7")),
    "prune:ratio=0.7,scope=all",
    "topk:ratio=0.01",
    "topk:ratio=0.01,earlier=3",
    "clip:norm=0.1",
    "dpsgd:clip=1,noise=0.01",
    "dpsgd:clip=1,noise=1",
    "dropout",
    *(f"fedavg:steps={steps},rate=0.01" for steps in (2, 4, 8)),
    "withhold:part=embeddings",
    "withhold:last=2",
]


def cell(
    model: TextModel, texts: list[PrivateText], name: str, spec: str, seconds: float
) -> dict[str, Any]:
    """One attack on every sentence by itself under one defence."""
    kind = ATTACKS.load(name)
    attack = kind(kind.options_class())
    budget = Budget(seconds, clock=time.process_time)
    batches, failed = [], []
    for seed, text in enumerate(texts):
        try:
            found = audit_client(
                model,
                attack,
                [text],
                options=ClientOptions(seed=seed),
                threat_model=ThreatModel(),
                defences=Defences.parse([] if spec == "none" else spec.split("+")),
                seed=seed,
                budget=budget,
            )
            batches += found.batches
        except TextleakError as error:
            failed.append(str(error))
    count, together = len(texts), Audit(batches)
    # A sentence on which the attack gave up counts as not found.
    sums = {
        key: sum(s.scores[key] for s in together.sequences)
        for key in ("token_match", "rouge1", "rouge2", "exact")
    }
    return {
        "defence": spec,
        "attack": name,
        "sentences": count,
        **{key: value / count for key, value in sums.items()},
        "verified": sum(batch.reconstruction.verified for batch in batches),
        "seconds": together.seconds / count,
        "failed": failed,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--task", default="classification", choices=["mlm", "classification"])
    parser.add_argument("--attack", action="append")
    parser.add_argument(
        "--defence", action="append", help="as on the command line; + joins several"
    )
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    attacks = given.attack or ["subspace", "dlg", "tag"]
    sentences, labels = read_sentences(given.file)
    known = labels or [None] * len(sentences)
    texts = [
        PrivateText([text], None if label is None else [label])
        for text, label in list(zip(sentences, known, strict=True))[: given.count]
    ]
    model = load_model(ModelOptions(name=given.model), given.task)
    kept = (
        [json.loads(line) for line in given.keep.open()]
        if given.keep and given.keep.exists()
        else []
    )
    print(f"| defence | {' | '.join(attacks)} |")
    print("| --- |" + " --- |" * len(attacks), flush=True)
    for spec in given.defence or GRID:
        row = []
        for name in attacks:
            done = [one for one in kept if (one["defence"], one["attack"]) == (spec, name)]
            found = done[0] if done else cell(model, texts, name, spec, given.seconds)
            if given.keep and not done:
                with given.keep.open("a") as file:
                    file.write(json.dumps(found) + "\n")
            row.append(f"{found['token_match']:.2f} / {found['verified']} of {found['sentences']}")
        print(f"| {spec} | {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
