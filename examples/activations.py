"""How well each activation gives text back, by `dlg` and by its continuous stage alone.

python examples/activations.py lines.txt --model bert-mini --count 3
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from ablation import audit, row

from textleak.client.reading import read_sentences
from textleak.models import ModelOptions, load_model
from textleak.models.activations import ACTIVATIONS

CONTINUOUS = {"labels": "analytic", "optimizer": "lbfgs", "distance": "cosine", "restarts": 1}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--model", default="bert-mini")
    parser.add_argument("--count", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument(
        "--attack", choices=["dlg", "dlg-paper", "continuous"], default="continuous"
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    sentences = read_sentences(given.file)[0][: given.count]
    continuous = {
        **CONTINUOUS,
        "iterations": given.iterations,
        "position_weight": 20.0,
        "mask_prior": True,
    }
    print("| activation | token match | ROUGE-2 | verified | evaluations | seconds |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    for activation in ACTIVATIONS:
        model = load_model(ModelOptions(name=given.model, activation=activation), "mlm")
        name = "dlg" if given.attack == "dlg" else "dlg-paper"
        options = continuous if given.attack == "continuous" else {}
        found = audit(model, sentences, name, options, given.seconds)
        print(row(activation, found), flush=True)


if __name__ == "__main__":
    main()
