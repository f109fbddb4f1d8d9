"""What a LoRA adapter's update gives back: words, sentences, verdicts and seconds, row by row.

python examples/measure_adapters.py reviews.txt --rank 8 --rank 16 --batch 1 --batch 4 --count 5
python examples/measure_adapters.py reviews.txt --rank 8 --defence bf16 --defence gaussian:std=1e-5
python examples/measure_adapters.py reviews.txt --rank 4 --rank 8 --words --count 50

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
from textleak.attacks.pursuit import PursuitOptions, first_words
from textleak.client import Client, ClientOptions
from textleak.client.reading import read_sentences
from textleak.core.errors import TextleakError
from textleak.core.update import SharedUpdate
from textleak.defences import Defences
from textleak.metrics.assignment import best_pairing
from textleak.metrics.rouge import rouge
from textleak.models import ModelOptions, TextModel, load_model


@dataclass
class Row:
    """One line of the table."""

    setting: str
    batch: int
    updates: int = 0
    sentences: int = 0
    words: int = 0
    found: int = 0
    false: int = 0
    exact: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    rouge2: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def count_words(self, true: set[int], found: set[int]) -> None:
        """Count the distinct words of one batch."""
        self.words += len(true)
        self.found += len(true & found)
        self.false += len(found - true)

    def count_sentences(
        self, model: TextModel, truth: list[list[int]], found: list[list[int]]
    ) -> None:
        """Count the sentences of one batch, each beside its best match."""
        self.sentences += len(truth)
        self.exact += (Counter(map(tuple, truth)) & Counter(map(tuple, found))).total()
        for ids, index in zip(truth, best_pairing(truth, found), strict=True):
            text = "" if index is None else model.decode(found[index])
            self.rouge2.append(rouge(model.decode(ids), text)["rouge2"])

    def text(self) -> str:
        """The line."""
        verdicts = " ".join(f"{count} {word}" for word, count in sorted(self.verdicts.items()))
        exact, score = f"{self.exact}/{self.sentences}", "-"
        if self.rouge2:
            score = f"{statistics.fmean(self.rouge2):.3f}"
        return (
            f"| {self.setting} | {self.batch} | {self.updates} | {self.found}/{self.words} "
            f"| {self.false} | {exact} | {score} | {verdicts or '-'} "
            f"| {statistics.median(self.seconds):.1f} | {max(self.seconds):.1f} |"
        )


HEAD = (
    "| setting | batch | updates | words | false | exact | ROUGE-2 | verdicts | median CPU s | most |"
    "\n|---|---|---|---|---|---|---|---|---|---|"
)


def words_of(model: TextModel, update: SharedUpdate) -> set[int]:
    """What the first step of the attack finds."""
    return set(first_words(model, update, PursuitOptions())[0])


def measured(
    model: TextModel, row: Row, batches: list[list[str]], defence: str, given: argparse.Namespace
) -> Row:
    """Attack one update of each batch."""
    kind = ATTACKS.load(given.attack)
    for number, sentences in enumerate(batches):
        defences = Defences.parse([] if defence == "none" else [defence])
        options = ClientOptions(seed=number, dropout=given.train_mode)
        client = Client(model, options, defences=defences)
        private = client.prepare(sentences)
        truth = private.original_ids
        update = client.share(private)
        begun = time.process_time()
        row.updates += 1
        true = {word for ids in truth for word in (ids[:-1] if given.words else ids)}
        if given.words:
            row.count_words(true, words_of(model, update))
        else:
            found: list[list[int]] = []
            try:
                result = kind(kind.options_class())(model, update, seed=number)
                found = result.token_ids
                row.verdicts[result.verdict.word] += 1
            except TextleakError as error:
                row.verdicts["refused"] += 1
                print(f"refused: {error}", flush=True)
            row.count_words(true, {word for ids in found for word in ids})
            row.count_sentences(model, truth, found)
        row.seconds.append(time.process_time() - begun)
    return row


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", help="sentences: .txt or .jsonl")
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--task", default="causal")
    parser.add_argument("--attack", default="subspace")
    parser.add_argument("--rank", type=int, action="append", help="default: 8")
    parser.add_argument("--targets", default="q_proj+v_proj")
    parser.add_argument("--dropout", action="append", help="of the adapter; default: 0")
    parser.add_argument("--adapter-steps", type=int, default=3, help="public steps before")
    parser.add_argument("--batch", type=int, action="append", help="sentences an update; default 1")
    parser.add_argument("--count", type=int, default=5, help="updates a line")
    parser.add_argument("--skip", type=int, default=0, help="sentences left out at the start")
    parser.add_argument("--defence", action="append", help="as bf16; default: none")
    parser.add_argument("--words", action="store_true", help="look for words alone")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    lines = read_sentences(given.file)[0][given.skip :]
    print(HEAD)
    rows = []
    for rank, dropout in product(given.rank or [8], given.dropout or ["0"]):
        adapter = f"lora:rank={rank},alpha={2 * rank},targets={given.targets},dropout={dropout}"
        options = ModelOptions(name=given.model, adapter=adapter, adapter_steps=given.adapter_steps)
        model = load_model(options, given.task)
        given.train_mode = float(dropout) > 0
        for size, defence in product(given.batch or [1], given.defence or ["none"]):
            count = min(given.count, len(lines) // size)
            batches = [lines[i * size : (i + 1) * size] for i in range(count)]
            row = Row(f"r={rank} {defence} dropout={dropout}", size)
            rows.append(measured(model, row, batches, defence, given))
            print(rows[-1].text(), flush=True)
            if given.json:
                given.json.write_text(json.dumps([asdict(row) for row in rows]))


if __name__ == "__main__":
    main()
