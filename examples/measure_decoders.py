"""What a decoder's update gives back: exact, proven, ROUGE and seconds, row by row.

python examples/measure_decoders.py cola.txt --model smollm2 --batch 1 --batches 50
python examples/measure_decoders.py reviews.txt --batch 1 --batches 5 --defence gaussian:std=1e-4
python examples/measure_decoders.py reviews.txt --tokens 512 --batches 1

Each line of the table is one setting: so many batches of consecutive sentences, one update each.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path

from textleak.attacks import ATTACKS
from textleak.client import Client, ClientOptions
from textleak.client.reading import read_sentences
from textleak.core.errors import TextleakError
from textleak.defences import Defences
from textleak.metrics.assignment import best_pairing
from textleak.metrics.rouge import rouge
from textleak.models import ModelOptions, TextModel, load_model


@dataclass
class Row:
    """One line of the table."""

    attack: str
    batch: int
    defence: str
    updates: int = 0
    sentences: int = 0
    exact: int = 0
    proven: int = 0
    refused: int = 0
    rouge1: list[float] = field(default_factory=list)
    rouge2: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    tokens: int = 0

    def add(self, model: TextModel, truth: list[list[int]], found: list[list[int]]) -> None:
        """Count the sentences of one batch, each beside its best match."""
        self.sentences += len(truth)
        self.tokens += sum(map(len, truth))
        exact = Counter(map(tuple, truth)) & Counter(map(tuple, found))
        self.exact += exact.total()
        for ids, index in zip(truth, best_pairing(truth, found), strict=True):
            text = "" if index is None else model.decode(found[index])
            scores = rouge(model.decode(ids), text)
            self.rouge1.append(scores["rouge1"])
            self.rouge2.append(scores["rouge2"])

    def text(self) -> str:
        """The line."""
        rouge1, rouge2 = map(statistics.fmean, (self.rouge1, self.rouge2))
        return (
            f"| {self.attack} | {self.batch} | {self.defence} | {self.updates} | {self.tokens} "
            f"| {self.exact}/{self.sentences} | {self.proven} | {self.refused} | {rouge1:.3f} "
            f"| {rouge2:.3f} | {statistics.median(self.seconds):.1f} |"
        )


HEAD = (
    "| attack | batch | defence | updates | tokens | exact | proven | refused | ROUGE-1 | ROUGE-2 "
    "| median CPU s |\n|---|---|---|---|---|---|---|---|---|---|---|"
)


def measured(model: TextModel, row: Row, batches: list[list[str]], seed: int) -> Row:
    """Attack one update of each batch."""
    kind = ATTACKS.load(row.attack)
    for number, sentences in enumerate(batches):
        defences = Defences.parse([] if row.defence == "none" else [row.defence])
        client = Client(model, ClientOptions(seed=seed + number), defences=defences)
        private = client.prepare(sentences)
        update = client.share(private)
        begun = time.process_time()
        try:
            result = kind(kind.options_class())(model, update, seed=seed + number)
            found, proven = result.token_ids, result.verified
        except TextleakError:
            found, proven = [], False
            row.refused += 1
        row.seconds.append(time.process_time() - begun)
        row.updates += 1
        row.proven += proven
        row.add(model, private.original_ids, found)
    return row


def texts(model: TextModel, lines: list[str], tokens: int | None) -> list[str]:
    """The lines, or texts of so many tokens made of consecutive ones."""
    if tokens is None:
        return lines
    ids = model.tokenizer(" ".join(lines))["input_ids"]
    whole = range(0, len(ids) - tokens + 1, tokens)
    return [model.tokenizer.decode(ids[begin : begin + tokens]) for begin in whole]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", help="sentences: .txt or .jsonl")
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--attack", action="append", help="default: subspace")
    parser.add_argument("--batch", type=int, action="append", help="sentences an update; default 1")
    parser.add_argument("--batches", type=int, default=5, help="updates a line")
    parser.add_argument("--defence", action="append", help="as bf16; default: none")
    parser.add_argument("--tokens", type=int, help="cut the file into texts of so many tokens")
    parser.add_argument("--skip", type=int, default=0, help="sentences left out at the start")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    model = load_model(ModelOptions(name=given.model), "causal")
    lines = texts(model, read_sentences(given.file)[0][given.skip :], given.tokens)
    print(HEAD)
    rows = []
    for attack, size, defence in product(
        given.attack or ["subspace"], given.batch or [1], given.defence or ["none"]
    ):
        count = min(given.batches, len(lines) // size)
        batches = [lines[i * size : (i + 1) * size] for i in range(count)]
        rows.append(measured(model, Row(attack, size, defence), batches, given.seed))
        print(rows[-1].text(), flush=True)
        if given.json:
            given.json.write_text(json.dumps([asdict(row) for row in rows]))


if __name__ == "__main__":
    main()
