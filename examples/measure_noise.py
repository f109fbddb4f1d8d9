"""What `likelihood` finds under noise, and how far below the truth's likelihood its search ends.

    python examples/measure_noise.py lines.jsonl --defence gaussian:std=1e-3 --skip 20 --count 20 --seconds 40

A line a sentence: token match, CPU seconds, nats above the truth (0 is the truth), verdict. Then the mean with its
95% bootstrap interval over updates, and the verdicts.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter

from textleak.attacks.likelihood import Likelihood, LikelihoodOptions
from textleak.attacks.likelihood.attack import deviation_of
from textleak.audit.score import score
from textleak.client import Client, ClientOptions
from textleak.client.reading import in_batches, read_sentences
from textleak.core.budget import Budget
from textleak.defences import Defences
from textleak.likelihood.likelihoods import Likelihoods
from textleak.metrics.bootstrap import mean_interval
from textleak.models import ModelOptions, load_model
from textleak.tasks import TASKS


def main() -> None:
    """Attack every update of a file's sentences under one defence."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", help=".txt, one sentence a line, or .jsonl")
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--task", default="classification", choices=["classification", "mlm"])
    parser.add_argument("--defence", default="gaussian:std=1e-3")
    parser.add_argument("--skip", type=int, default=0)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=40.0)
    given = parser.parse_args()
    model = load_model(ModelOptions(name=given.model), task=given.task)
    sentences, labels = read_sentences(given.file)
    labels = labels if TASKS.load(given.task).labelled else None
    part = slice(given.skip, given.skip + given.count)
    sentences, labels = sentences[part], labels and labels[part]
    updates: list[list[float]] = []
    verdicts: Counter[tuple[str, bool]] = Counter()
    for seed, (texts, own) in enumerate(in_batches(sentences, labels, given.batch_size)):
        client = Client(model, ClientOptions(seed=seed), None, Defences.parse([given.defence]))
        private = client.prepare(list(texts), own and list(own))
        update = client.share(private)
        started = time.process_time()
        budget = Budget(given.seconds, clock=time.process_time)
        found = Likelihood(LikelihoodOptions())(model, update, budget=budget)
        spent = time.process_time() - started
        std, factor = deviation_of(model, update, None)
        likelihoods = Likelihoods(model, update, std, factor=factor)
        above = likelihoods([found.candidate.batch])[0] - likelihoods([private.batch])[0]
        result = score(model, found, private.original_ids)
        matches = [one.scores["token_match"] for one in result.sequences]
        updates.append(matches)
        verdicts[found.verdict.word, min(matches) == 1.0] += 1
        shown = " ".join(f"{match:.2f}" for match in matches)
        print(f"{shown}  {spent:.0f} s  {above:.0f} nats  {found.verdict.word}", flush=True)
    mean = mean_interval(updates)
    ends = "" if mean.low is None else f" ({mean.low:.2f} to {mean.high:.2f})"
    print(f"{given.defence}: token match {mean.mean:.2f}{ends}, {mean.values} sentences")
    for (word, right), count in sorted(verdicts.items()):
        print(f"{word}: {count} {'right' if right else 'not wholly right'}")


if __name__ == "__main__":
    main()
