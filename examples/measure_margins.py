"""How much Gaussian noise hides a text: the margin of true sentences over their competitors, by deviation.

    python examples/measure_margins.py lines.jsonl --task classification --count 10

The margin of Gaussian noise is |change|² / 2σ², so it is measured once a sentence and told for every σ.
Shares have 95% intervals by bootstrap over updates.
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
from textleak.metrics.bootstrap import mean_interval
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
    parser.add_argument("--skip", type=int, default=0)
    parser.add_argument("--batch-size", type=int, default=1)
    given = parser.parse_args()
    model = load_model(ModelOptions(name=given.model), task=given.task)
    sentences, labels = read_sentences(given.file)
    if not TASKS.load(given.task).labelled:
        labels = None
    part = slice(given.skip, given.skip + given.count)
    sentences, labels = sentences[part], labels and labels[part]
    started = time.process_time()
    updates = [
        measured(model, list(texts), own and list(own))
        for texts, own in in_batches(sentences, labels, given.batch_size)
    ]
    spent = (time.process_time() - started) / len(sentences)
    print(f"{len(sentences)} sentences, {given.batch_size} an update; {spent:.1f} CPU s a sentence")
    print_table(updates)


def print_table(updates: list[list[float]]) -> None:
    """What is determined at each deviation, given the margins of every update at the deviation 1."""
    nats = [one for update in updates for one in update]
    print("| σ | determined | 95% interval | least margin, nats | median |")
    print("| --- | --- | --- | --- | --- |")
    for power in range(-10, 1):
        std = 10 ** (power / 2)
        told = [[float(one / std**2 > MarginOptions().nats) for one in own] for own in updates]
        share = mean_interval(told)
        interval = "" if share.low is None else f"{share.low:.2f} to {share.high:.2f}"
        at = [one / std**2 for one in nats]
        print(f"| {std:.2g} | {share.mean:.2f} | {interval} | {min(at):.3g} | {median(at):.3g} |")
    ends = sorted(map(crossing, nats))
    print(
        f"5 nats at σ = {ends[0]:.2g} (least), {median(ends):.2g} (median), {ends[-1]:.2g} (most)"
    )


if __name__ == "__main__":
    main()
