"""Kill an audit at random moments, start it again, and compare with one that ran through.

python examples/kill_and_resume.py lines.jsonl --count 10 --kills 3

Two small BERTs of random weights are made for it, whose words are those of the file. Three attacks
and six defences on ten sentences are 360 runs. Every process of the audit is killed (SIGKILL).
Prints a Markdown table; exits with 1 if a result is lost, repeated or different.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import yaml
from tokenizers import BertWordPieceTokenizer
from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast
from transformers.utils import logging

from textleak.client.reading import read_sentences
from textleak.results.log import RESULTS, read_results

SIZES = {"two-layers": (2, 64), "three-layers": (3, 96)}
QUICK = {"restarts": 1, "rounds": 1, "iterations": 3, "discrete": False}
ATTACKS = [
    "subspace",
    {"name": "dlg", "title": "dlg, short", "options": QUICK},
    {"name": "tag", "title": "tag, short", "options": {"iterations": 10}},
]
DEFENCES = ["none", "fp16", "bf16", "clip:norm=0.1", "withhold", "gaussian:std=1e-3"]
COMMAND = [sys.executable, "-c", "from textleak_cli.main import main; main()", "audit"]


def make_models(folder: Path, sentences: list[str]) -> list[str]:
    """Save two BERTs of random weights whose word pieces are those of `sentences`."""
    trained = BertWordPieceTokenizer()
    trained.train_from_iterator(sentences, vocab_size=600, min_frequency=1, show_progress=False)
    folder.mkdir(parents=True)
    trained.save_model(str(folder))
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"))
    for name, (layers, width) in SIZES.items():
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=4,
            intermediate_size=4 * width,
            max_position_embeddings=64,
        )
        BertForMaskedLM(config).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return [str(folder / name) for name in SIZES]


def audit(grid: Path, folder: Path, workers: int) -> subprocess.Popen[bytes]:
    """Start the audit in a process group of its own."""
    command = [*COMMAND, str(grid), "--output", str(folder), "--workers", str(workers)]
    log = (folder.with_suffix(".log")).open("ab")
    return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def killed(grid: Path, folder: Path, workers: int, total: int, draw: random.Random) -> int:
    """Run the audit, kill it once at a random result, let it end; how many results it had then."""
    target = draw.randrange(1, total)
    process = audit(grid, folder, workers)
    results = folder / RESULTS
    while process.poll() is None and lines(results) < target:
        time.sleep(0.005)
    time.sleep(draw.random() * 0.2)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = results.read_bytes()
    audit(grid, folder, workers).wait()
    assert results.read_bytes().startswith(before[: before.rfind(b"\n") + 1]), "a result was lost"
    return before.count(b"\n")


def lines(path: Path) -> int:
    """How many results there are."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("lines", type=Path, help="sentences, .txt or .jsonl")
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--defences", nargs="+", default=DEFENCES)
    parser.add_argument("--folder", type=Path, help="where all is kept; default a temporary one")
    given = parser.parse_args()
    logging.disable_progress_bar()
    sentences = read_sentences(given.lines)[0][: given.count]
    folder = given.folder or Path(tempfile.mkdtemp())
    grid = folder / "grid.yaml"
    data = {
        "texts": sentences,
        "models": make_models(folder / "models", sentences),
        "attacks": ATTACKS,
        "defences": given.defences,
        "threads": 1,
    }
    grid.write_text(yaml.safe_dump(data))
    started = time.perf_counter()
    audit(grid, folder / "whole", given.workers).wait()
    seconds = time.perf_counter() - started
    whole = {r.key: r.without_timings() for r in read_results(folder / "whole")}
    failed = sum(record["status"] == "failed" for record in whole.values())
    print("| audit | results at the kill | results | repeated | same |")
    print("| --- | --- | --- | --- | --- |")
    print(f"| uninterrupted, {seconds:.0f} s, {failed} failed | — | {len(whole)} | 0 | — |")
    good = True
    for number in range(1, given.kills + 1):
        cut = folder / f"killed-{number}"
        at = killed(grid, cut, given.workers, len(whole), random.Random(given.seed + number))
        again = {r.key: r.without_timings() for r in read_results(cut)}
        repeated = lines(cut / RESULTS) - len(again)
        same = again == whole
        good &= same and not repeated
        print(f"| killed {number} | {at} | {len(again)} | {repeated} | {'yes' if same else 'no'} |")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
