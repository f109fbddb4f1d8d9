"""How much Gaussian noise hides a text: the margin of true sentences over their competitors, by deviation.

    python examples/measure_margins.py lines.jsonl --task classification --count 10

The margin of Gaussian noise is |change|² / 2σ², so it is measured once a sentence and told for every σ.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

from textleak.client import Client, ClientOptions
from textleak.client.reading import in_batches, read_sentences
from textleak.defences import Defences
from textleak.likelihood.margins import margins
from textleak.likelihood.options import MarginOptions
from textleak.models import ModelOptions, TextModel, load_model
from textleak.tasks import TASKS

AT = 1e-3  # the deviation at which margins are measured


def measured(model: TextModel, sentences: list[str], labels: list[int] | None) -> list[float]:
    """The least margin of every sentence of one update, in nats at the deviation 1."""
    client = Client(model, ClientOptions(seed=0), None, Defences.parse([f"gaussian:std={AT}"]))
    private = client.prepare(sentences, labels)
    found = margins(model, client.share(private), private.batch)
    if isinstance(found, str):
        raise SystemExit(found)
    return [one.nats * AT**2 for one in found]


def crossing(nats: float) -> float:
    """The deviation at which a margin, given at the deviation 1, no longer determines."""
    return float((nats / MarginOptions().nats) ** 0.5)


def main() -> None:
    """Print a table of margins over the deviation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", help=".txt, one sentence a line, or .jsonl")
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--task", default="classification")
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=1)
    given = parser.parse_args()
    model = load_model(ModelOptions(name=given.model), task=given.task)
    sentences, labels = read_sentences(given.file)
    if not TASKS.load(given.task).labelled:
        labels = None
    sentences, labels = sentences[: given.count], labels and labels[: given.count]
    started = time.process_time()
    nats = [
        one
        for texts, own in in_batches(sentences, labels, given.batch_size)
        for one in measured(model, list(texts), own and list(own))
    ]
    spent = (time.process_time() - started) / len(nats)
    print(f"{len(nats)} sentences, {given.batch_size} an update; {spent:.1f} CPU s a sentence")
    print("| σ | determined | least margin, nats | median |")
    print("| --- | --- | --- | --- |")
    for power in range(-10, 1):
        std = 10 ** (power / 2)
        at = [one / std**2 for one in nats]
        told = sum(one > MarginOptions().nats for one in at)
        print(f"| {std:.2g} | {told} of {len(at)} | {min(at):.3g} | {median(at):.3g} |")
    ends = sorted(map(crossing, nats))
    print(
        f"5 nats at σ = {ends[0]:.2g} (least), {median(ends):.2g} (median), {ends[-1]:.2g} (most)"
    )


if __name__ == "__main__":
    main()
