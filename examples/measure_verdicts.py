"""Wrong batches put to the verdict: how many are called proven, and how many true ones are.

python examples/measure_verdicts.py --json verdicts.json

Every cell makes updates of random sentences and asks for the verdict on the true batch, and on wrong
ones a step away: a word replaced by its nearest, by any or by [UNK], two neighbours swapped, a word
less or more, a twin of another sequence, another class, another word under a mask. No attack runs.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path

import torch

from textleak.attacks.matching.nearest import standing_words
from textleak.attacks.running import untouched
from textleak.client import Client, ClientOptions
from textleak.core.batch import IGNORED
from textleak.core.threat_model import ThreatModel
from textleak.defences import Defences
from textleak.models import ModelOptions, TextModel, TokenBatch, load_model
from textleak.verdict.judge import judge
from textleak.verdict.neighbours import stacked


@dataclass(frozen=True)
class Cell:
    """One row of the table: a kind of update, and how many of it are made."""

    model: str
    task: str
    words: int
    sequences: int
    share: str = "*"
    defence: str = "none"
    updates: int = 1
    wrongs: int = 20


@dataclass
class Tally:
    """What the verdicts on one cell were."""

    true: int = 0
    true_proven: int = 0
    true_consistent: int = 0
    wrong: int = 0
    wrong_proven: int = 0
    wrong_consistent: int = 0
    farthest: float = 0.0
    seconds: float = 0.0


SHARES = ("*", "*bias", "bert.encoder.layer.0.*", "bert.[!e]*,classifier*,cls.*")
DEFENCES = ("clip:norm=0.1", "bf16", "fp16", "int8", "prune:ratio=0.5")


SIZES = {"bert-tiny": (3, 25), "bert-mini": (2, 20), "minilm": (1, 8)}  # updates, wrong batches


def cells() -> Iterator[Cell]:
    """The grid, model by model: twice as many wrong batches where little is shared, which is quick."""
    for task, model in product(("classification", "mlm"), SIZES):
        updates, wrongs = SIZES[model]
        for share, (words, sequences) in product(SHARES, ((3, 1), (8, 1), (8, 4), (25, 2))):
            tried = wrongs if share == "*" else 3 * wrongs
            yield Cell(model, task, words, sequences, share, "none", updates, tried)
        for words in (100, 330, 500):
            yield Cell(model, task, words, 1, "*", "none", 1, 12 if words == 100 else 6)
        for defence in DEFENCES:
            yield Cell(model, task, 8, 1, "*", defence, 1, wrongs)
        yield Cell(model, task, 100, 1, "*", "bf16", 1, wrongs)


def sentence(model: TextModel, words: int, draw: torch.Generator) -> str:
    """Random whole words of the vocabulary."""
    names = model.tokenizer.convert_ids_to_tokens(list(range(len(model.tokenizer))))
    whole = [name for name in names if name.isascii() and name.isalpha() and len(name) > 1]
    chosen = torch.randint(len(whole), (words,), generator=draw).tolist()
    return " ".join(whole[i] for i in chosen)


def wrong_batches(
    model: TextModel, truth: TokenBatch, count: int, draw: torch.Generator
) -> Iterator[TokenBatch]:
    """So many batches that are not `truth`, each kind in turn."""
    kinds = [_nearest, _any_word, _unknown, _swap, _less, _more, _label, _twin]
    made = tried = 0
    while made < count and tried < 10 * count:
        changed = kinds[tried % len(kinds)](model, truth, draw)
        tried += 1
        if changed is not None and not same(model, changed, truth):
            made += 1
            yield changed


def same(model: TextModel, one: TokenBatch, other: TokenBatch) -> bool:
    """Whether two batches hold the same sequences with the same labels, in any order."""

    def content(batch: TokenBatch) -> list[object]:
        labels = batch.labels.tolist() if batch.labels.dim() == 1 else [0] * len(batch.labels)
        bearing = (
            [tuple(r.ne(IGNORED).nonzero().flatten().tolist()) for r in batch.labels]
            if batch.labels.dim() == 2
            else labels
        )
        return sorted(map(repr, zip(model.task.filled(batch), labels, bearing, strict=True)))

    return content(one) == content(other)


def _place(truth: TokenBatch, draw: torch.Generator) -> tuple[int, int]:
    row = int(torch.randint(len(truth.input_ids), (1,), generator=draw))
    return row, int(torch.randint(1, truth.lengths[row] - 1, (1,), generator=draw))


def _with(truth: TokenBatch, row: int, place: int, word: int) -> TokenBatch:
    """Another word at a place: of the input or, where the place bears loss, under the mask."""
    ids, labels = truth.input_ids.clone(), truth.labels.clone()
    if labels.dim() == 2 and labels[row, place] != IGNORED:
        labels[row, place] = word
    else:
        ids[row, place] = word
    return replace(truth, input_ids=ids, labels=labels)


def _nearest(model: TextModel, truth: TokenBatch, draw: torch.Generator) -> TokenBatch:
    row, place = _place(truth, draw)
    table = model.word_table.detach()
    own = model.task.filled(truth)[row][place]
    near = (table - table[own]).norm(dim=1)
    near[own] = math.inf
    return _with(truth, row, place, int(near.argmin()))


def _any_word(model: TextModel, truth: TokenBatch, draw: torch.Generator) -> TokenBatch:
    words = standing_words(model.tokenizer, masks=False)
    word = int(words[torch.randint(len(words), (1,), generator=draw)])
    return _with(truth, *_place(truth, draw), word)


def _unknown(model: TextModel, truth: TokenBatch, draw: torch.Generator) -> TokenBatch:
    return _with(truth, *_place(truth, draw), int(model.tokenizer.unk_token_id))


def _moved(model: TextModel, truth: TokenBatch, row: int, order: list[int]) -> TokenBatch:
    rows = [truth.take([i]) for i in range(len(truth.input_ids))]
    ids = truth.input_ids[row, order][None]
    labels = truth.labels[[row]] if truth.labels.dim() == 1 else truth.labels[row, order][None]
    rows[row] = TokenBatch(ids, torch.ones_like(ids), labels)
    return stacked(rows, int(model.tokenizer.pad_token_id))


def _swap(model: TextModel, truth: TokenBatch, draw: torch.Generator) -> TokenBatch | None:
    row, place = _place(truth, draw)
    order = list(range(truth.lengths[row]))
    if place + 2 >= len(order):
        return None
    order[place], order[place + 1] = order[place + 1], order[place]
    return _moved(model, truth, row, order)


def _less(model: TextModel, truth: TokenBatch, draw: torch.Generator) -> TokenBatch | None:
    row, place = _place(truth, draw)
    if truth.labels.dim() == 2 and truth.labels[row, place] != IGNORED:
        return None
    order = list(range(truth.lengths[row]))
    return _moved(model, truth, row, [*order[:place], *order[place + 1 :]])


def _more(model: TextModel, truth: TokenBatch, draw: torch.Generator) -> TokenBatch | None:
    row, place = _place(truth, draw)
    if truth.lengths[row] >= model.max_length:
        return None
    order = list(range(truth.lengths[row]))
    return _moved(model, truth, row, [*order[: place + 1], place, *order[place + 1 :]])


def _label(model: TextModel, truth: TokenBatch, draw: torch.Generator) -> TokenBatch | None:
    if truth.labels.dim() == 2:
        return None
    labels = truth.labels.clone()
    row = int(torch.randint(len(labels), (1,), generator=draw))
    labels[row] = 1 - labels[row]
    return replace(truth, labels=labels)


def _twin(model: TextModel, truth: TokenBatch, draw: torch.Generator) -> TokenBatch | None:
    count = len(truth.input_ids)
    if count < 2:
        return None
    one, other = torch.randperm(count, generator=draw)[:2].tolist()
    return truth.take([other if row == one else row for row in range(count)])


def measure(model: TextModel, cell: Cell, seed: int) -> Tally:
    """The verdicts on one cell's true and wrong batches."""
    tally, draw = Tally(), torch.Generator().manual_seed(seed)
    shared = tuple(cell.share.split(","))
    defences = Defences.parse([] if cell.defence == "none" else [cell.defence])
    for index in range(cell.updates):
        texts = []
        while len(texts) < cell.sequences:
            text = sentence(model, cell.words, draw)
            if len(model.tokenizer(text)["input_ids"]) <= model.max_length:
                texts.append(text)
        client = Client(
            model,
            ClientOptions(seed=seed + index),
            threat_model=ThreatModel(shared=shared),
            defences=defences,
        )
        private = client.prepare(texts)
        update = client.share(private)
        started = time.process_time()
        with untouched(model.module):
            order = list(range(cell.sequences))[::-1]
            said = judge(model, update, private.batch.take(order))
            tally.true += 1
            tally.true_proven += said.word == "proven"
            tally.true_consistent += said.word == "consistent"
            tally.farthest = max(tally.farthest, said.distance or 0.0)
            for wrong in wrong_batches(model, private.batch, cell.wrongs, draw):
                said = judge(model, update, wrong)
                tally.wrong += 1
                tally.wrong_proven += said.word == "proven"
                tally.wrong_consistent += said.word == "consistent"
        tally.seconds += time.process_time() - started
    return tally


def main() -> None:
    """Measure the cells, and keep each as it comes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True, help="where the cells are written")
    parser.add_argument("--models", nargs="*", default=["bert-tiny", "bert-mini", "minilm"])
    parser.add_argument("--tasks", nargs="*", default=["classification", "mlm"])
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after so many")
    args = parser.parse_args()
    torch.set_num_threads(1)
    stop = time.monotonic() + 60 * args.minutes
    rows: list[dict[str, object]] = []
    loaded: dict[tuple[str, str], TextModel] = {}
    for index, cell in enumerate(cells()):
        chosen = cell.model in args.models and cell.task in args.tasks
        if not chosen or time.monotonic() > stop:
            continue
        key = (cell.model, cell.task)
        if key not in loaded:
            loaded.clear()
            loaded[key] = load_model(ModelOptions(name=cell.model), cell.task)  # type: ignore[arg-type]
        tally = measure(loaded[key], cell, 1000 * index)
        rows.append({**asdict(cell), **asdict(tally)})
        args.json.write_text(json.dumps(rows, indent=1) + "\n")
        print(cell, tally, flush=True)


if __name__ == "__main__":
    main()
