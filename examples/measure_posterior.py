"""Is *proven* under noise as rare an error as it says? Many draws of noise, judged at the likeliest batch near the truth.

    python examples/measure_posterior.py lines.jsonl --draws 10

A verdict errs where the likeliest batch is another than the truth. The search begins at the truth and takes every
competitor that the draw makes likelier, so wrong batches here are the most dangerous ones: near, and
likelier than the truth.
"""

from __future__ import annotations

import argparse
from collections import Counter

import torch

from textleak.attacks.likelihood.options import LikelihoodOptions
from textleak.attacks.likelihood.search import Climb, Scored
from textleak.client import Client, ClientOptions
from textleak.client.reading import read_sentences
from textleak.defences import Defences
from textleak.likelihood.likelihoods import Likelihoods
from textleak.likelihood.posterior import judged
from textleak.models import ModelOptions, load_model


def main() -> None:
    """Count verdicts, right and wrong, over deviations."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", help=".txt, one sentence a line, or .jsonl")
    parser.add_argument("--model", default="bert-tiny")
    parser.add_argument("--skip", type=int, default=0)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--std", type=float, action="append")
    given = parser.parse_args()
    model = load_model(ModelOptions(name=given.model), task="classification")
    sentences, _ = read_sentences(given.file)
    words = torch.arange(len(model.tokenizer))
    print(
        "| σ | proven, right | proven, wrong | consistent, right | wrong | unexplained, right | wrong |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for std in given.std or [1e-4, 3e-4, 1e-3, 3e-3, 1e-2]:
        counts: Counter[tuple[str, bool]] = Counter()
        for draw in range(given.draws):
            text = sentences[given.skip + draw]
            defences = Defences.parse([f"gaussian:std={std}"])
            client = Client(model, ClientOptions(seed=draw), None, defences)
            private = client.prepare([text], [draw % 2])
            update = client.share(private)
            likelihoods = Likelihoods(model, update, std)
            start = Scored(private.batch, float(likelihoods([private.batch])[0]))
            options = LikelihoodOptions()
            names = list(update.gradients)
            climb = Climb(model, likelihoods, names, words, None, options, lambda *_: None)
            found = climb.nearby(start).batch
            word = judged(model, update, found, std).word
            counts[word, torch.equal(found.input_ids, private.batch.input_ids)] += 1
        cells = [
            counts[word, right]
            for word in ("proven", "consistent", "unexplained")
            for right in (True, False)
        ]
        print(f"| {std:.1g} | {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
