"""Accuracy beside leakage under each defence: a small training of the model whose updates are attacked.

    python examples/utility.py lines.jsonl --defence gaussian:std=1e-2 --plot tradeoff.svg
    python examples/utility.py pictures/ --defence prune:ratio=0.5 --plot tradeoff.svg

`lines.jsonl` holds `{"text": …, "label": …}`; a folder of pictures has a subfolder a class. `--leakage FILE` takes the leakage that
`examples/defences.py --keep FILE` measured; otherwise the first `--attacked` examples are attacked here.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch

from textleak.attacks import ATTACKS
from textleak.audit import PrivateText, audit_client
from textleak.client import ClientOptions
from textleak.client.reading import read_sentences
from textleak.core.budget import Budget
from textleak.core.errors import TextleakError
from textleak.core.threat_model import ThreatModel
from textleak.defences import Defences
from textleak.models import ModelOptions, load_model
from textleak.utility import (
    ImageLearner,
    Learner,
    LearningOptions,
    TextLearner,
    Tradeoff,
    learn,
    plot,
    table,
)
from textleak.utility.learners import split
from textleak.vision.attacks import IMAGE_ATTACKS
from textleak.vision.audit import ImageAudit, score
from textleak.vision.batch import ImageBatch
from textleak.vision.client import ImageClient
from textleak.vision.data import ImageDataOptions, load_images
from textleak.vision.models import ImageModelOptions, load_image_model

STANDARD = [
    "none", "gaussian:std=1e-4", "gaussian:std=1e-3", "gaussian:std=1e-2", "fp16", "int8",
    "prune:ratio=0.2", "prune:ratio=0.7", "topk:ratio=0.01", "dpsgd:clip=1,noise=0.01",
    "dpsgd:clip=1,noise=1", "withhold",
]  # fmt: skip


def of(spec: str) -> Defences:
    """The defences written as `spec`, joined by +."""
    return Defences.parse([] if spec == "none" else spec.split("+"))


def text_learner(given: argparse.Namespace) -> TextLearner:
    """The sentences of the file, to fine-tune the model on."""
    sentences, labels = read_sentences(given.data)
    if labels is None:
        raise SystemExit("utility: expected a label beside every text")
    model = load_model(
        ModelOptions(
            name=given.model or "minilm",
            activation=given.activation,
            num_labels=max(labels) + 1,
        ),
        "classification",
    )
    return TextLearner(model, sentences, labels, *split(len(sentences), given.test))


def image_learner(given: argparse.Namespace) -> ImageLearner:
    """The pictures of the folder, to train a classifier on."""
    count = sum(1 for path in given.data.glob("*/*") if path.is_file())
    found = load_images(ImageDataOptions(data=given.data, batch_size=count))
    labels = torch.tensor([int(label or 0) for label in found.labels])
    _, channels, height, width = found.pixels.shape
    model = load_image_model(
        ImageModelOptions(
            name=given.model or "lenet", shape=(channels, height, width),
            classes=max(10, int(labels.max()) + 1), init="default", activation=given.activation,
        )
    )  # fmt: skip
    return ImageLearner(model, ImageBatch(found.pixels, labels), *split(count, given.test))


def text_leakage(learner: TextLearner, spec: str, given: argparse.Namespace) -> float:
    """The best token match of any of the attacks, each sentence by itself."""
    best = 0.0
    for name in given.attack or ["subspace"]:
        kind = ATTACKS.load(name)
        attack, total = kind(kind.options_class()), 0.0
        budget = Budget(given.seconds, clock=time.process_time)
        for seed, row in enumerate(learner.learnt[: given.attacked]):
            text = PrivateText([learner.sentences[row]], [learner.labels[row]])
            try:
                found = audit_client(
                    learner.model, attack, [text], options=ClientOptions(seed=seed),
                    threat_model=ThreatModel(), defences=of(spec), seed=seed, budget=budget,
                )  # fmt: skip
            except TextleakError:  # the attack gave up: nothing leaked by it
                continue
            total += found.mean("token_match") or 0.0
        best = max(best, total / given.attacked)
    return best


def image_leakage(learner: ImageLearner, spec: str, given: argparse.Namespace) -> float:
    """The best mean SSIM of any of the attacks, each picture by itself."""
    best = 0.0
    for name in given.attack or ["dlg"]:
        kind = IMAGE_ATTACKS.load(name)
        attack, total = kind(kind.options_class()), 0.0
        for seed, row in enumerate(learner.learnt[: given.attacked]):
            client = ImageClient(learner.model, seed=seed, defences=of(spec))
            image = learner.images.take([row])
            private = client.prepare(image.pixels, image.classes)
            found = attack(learner.model, client.share(private), seed=seed)
            total += max(0.0, ImageAudit([score(found, private)]).mean("ssim") or 0.0)
        best = max(best, total / given.attacked)
    return best


def kept(path: Path) -> dict[str, float]:
    """The highest token match of any attack under each defence, as examples/defences.py kept it."""
    best: dict[str, float] = {}
    for line in path.read_text().splitlines():
        cell = json.loads(line)
        best[cell["defence"]] = max(cell["token_match"], best.get(cell["defence"], 0.0))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--activation", default="keep")
    parser.add_argument(
        "--defence", action="append", help="as on the command line; + joins several"
    )
    parser.add_argument("--attack", action="append", help="default subspace, for images dlg")
    parser.add_argument("--attacked", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--leakage", type=Path)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rate", type=float, default=0.02)
    parser.add_argument("--test", type=float, default=0.33)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    images = given.data.is_dir()
    learner: Learner = image_learner(given) if images else text_learner(given)
    measured = kept(given.leakage) if given.leakage else None
    options = LearningOptions(steps=given.steps, batch_size=given.batch_size, rate=given.rate)
    unit, rows = "SSIM" if images else "token match", []
    for spec in given.defence or STANDARD:
        accuracy = learn(learner, of(spec), options)
        if measured is not None:
            leaked = measured.get(spec)
        elif isinstance(learner, ImageLearner):
            leaked = image_leakage(learner, spec, given)
        else:
            assert isinstance(learner, TextLearner)
            leaked = text_leakage(learner, spec, given)
        rows.append(Tradeoff(spec, accuracy, leaked))
        print(
            table(rows, unit) if len(rows) == 1 else table(rows, unit).splitlines()[-1], flush=True
        )
    if given.plot:
        plot(rows, given.plot, unit)


if __name__ == "__main__":
    main()
