"""What every encoder family gives back under every task: exact and proven sentences, row by row.

python examples/measure_families.py cola.jsonl --attack subspace --batch 1 --batch 4 --updates 3
python examples/measure_families.py cola.jsonl --attack dlg --family modernbert --task mlm --seconds 60

Models are small with random weights (two layers), with a tokenizer of the file's own words: WordPiece, byte-level
BPE or unigram, as the family has it. A line is a family under a task: of how many sentences how many came back
exactly, of how many updates how many are proven, and the processor's seconds an update.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from itertools import product
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.families.folders import make_folder
from textleak.attacks import ATTACKS
from textleak.client import Client, ClientOptions
from textleak.client.reading import read_sentences
from textleak.core.budget import Budget
from textleak.core.errors import TextleakError
from textleak.models import ModelOptions, TextModel, load_model

PLACED = ("bert", "roberta", "xlm-roberta", "camembert", "distilbert", "electra", "albert", "mpnet")
FAMILIES = (*PLACED, "deberta-v2", "modernbert")
TASKS = ("mlm", "classification", "multi-label", "regression", "token-classification")


@dataclass
class Row:
    """One line of the table."""

    family: str
    task: str
    attack: str
    batch: int
    sentences: int = 0
    exact: int = 0
    updates: int = 0
    proven: int = 0
    seconds: float = 0.0
    said: str = ""

    def add(self, truth: list[list[int]], found: list[list[int]], proven: bool) -> None:
        """Count one update."""
        self.updates += 1
        self.sentences += len(truth)
        self.exact += (Counter(map(tuple, truth)) & Counter(map(tuple, found))).total()
        self.proven += proven

    def text(self) -> str:
        """As a line of Markdown."""
        counts = f"{self.exact}/{self.sentences} | {self.proven}/{self.updates}"
        each = self.seconds / max(self.updates, 1)
        shown = f"| {self.family} | {self.task} | {self.attack} | {self.batch} | {counts} | {each:.1f} |"
        return f"{shown} {self.said}".rstrip()


def model_of(folder: Path, family: str, task: str, texts: list[str], width: int) -> TextModel:
    """A model of `family` with the head of `task` and a tokenizer of `texts`' words."""
    size = dict(hidden_size=width, embedding_size=width, intermediate_size=2 * width)
    if family == "distilbert":
        size = dict(dim=width, hidden_dim=2 * width)
    places = dict(max_position_embeddings=66, initializer_range=0.07)
    path = make_folder(folder / f"{family}-{task}", family, task, texts, 2000, **size, **places)
    return load_model(ModelOptions(name=path), task)


def measured(model: TextModel, row: Row, groups: list[list[str]], seconds: float) -> Row:
    """Attack an update of each group; a family or task that the attack does not take is said."""
    kind = ATTACKS.load(row.attack)
    for number, group in enumerate(groups):
        client = Client(model, ClientOptions(seed=number))
        private = client.prepare(group)
        update = client.share(private)
        before = time.process_time()
        try:
            found = kind(kind.options_class())(model, update, seed=number, budget=Budget(seconds))
            row.add(private.original_ids, found.token_ids, found.verified)
        except TextleakError as error:
            row.said = str(error)[:90]
            row.add(private.original_ids, [], False)
        row.seconds += time.process_time() - before
    return row


def main() -> None:
    """Print a line as each cell of the table is done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--family", action="append", choices=FAMILIES)
    parser.add_argument("--task", action="append", choices=TASKS)
    parser.add_argument("--attack", action="append", choices=("dlg", "subspace", "auto"))
    parser.add_argument("--batch", action="append", type=int)
    parser.add_argument("--updates", type=int, default=3)
    parser.add_argument("--skip", type=int, default=0)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    texts = read_sentences(given.file)[0]
    rows = []
    print(
        "| family | task | attack | batch | exact | proven | CPU s |\n|---|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as folder:
        for family, task in product(given.family or FAMILIES, given.task or TASKS[:2]):
            model = model_of(Path(folder), family, task, texts, given.width)
            for attack, batch in product(given.attack or ["subspace"], given.batch or [1, 4]):
                starts = range(given.skip, given.skip + given.updates * batch, batch)
                groups = [texts[start : start + batch] for start in starts]
                row = Row(family, task, attack, batch)
                rows.append(measured(model, row, groups, given.seconds))
                print(row.text(), flush=True)
    if given.json is not None:
        given.json.write_text(json.dumps([vars(row) for row in rows], indent=2) + "\n")


if __name__ == "__main__":
    main()
