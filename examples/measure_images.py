"""Attack pictures of a folder one after another (or in batches) and print one row for each.

    python examples/measure_images.py --data FOLDER --count 20
    python examples/measure_images.py --data FOLDER --batch-size 4 --until 30
    python examples/measure_images.py --data FOLDER --defence gaussian:std=1e-3

Single pictures are taken evenly from the folder, batches are drawn from it; each update has a network of its own (weights seed = its number).
CPU seconds are the process's own: what one idle core would need.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

from textleak.core.events import Event, ImageIteration
from textleak.defences import Defences
from textleak.vision.attacks import IMAGE_ATTACKS
from textleak.vision.audit import score
from textleak.vision.batch import ImageBatch
from textleak.vision.client import ImageClient
from textleak.vision.data import ImageDataOptions, LoadedImages, load_images
from textleak.vision.metrics import worst_psnr
from textleak.vision.models import ImageModelOptions, load_image_model
from textleak.vision.pixels import decode_images


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--count", type=int, default=1, help="updates to attack")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--step", type=int, default=3, help="pictures between two updates")
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--pictures", type=int, default=60, help="of the folder, for batches")
    parser.add_argument("--draw", type=int, default=0, help="seeds which pictures make a batch")
    parser.add_argument("--distinct", action="store_true", help="batches without two of a class")
    parser.add_argument("--model", default="lenet")
    parser.add_argument("--init", default="auto")
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--attack", default="dlg")
    parser.add_argument("--set", action="append", default=[], help="attack option, key=value")
    parser.add_argument("--defence", action="append", default=[])
    parser.add_argument("--until", type=float, help="say when every picture is above this PSNR")
    parser.add_argument("--every", type=int, default=0, help="iterations between progress lines")
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


def batch(asked: argparse.Namespace, number: int) -> list[LoadedImages]:
    """The pictures of update `number`: evenly spaced, or for a batch drawn without replacement."""
    if asked.batch_size == 1:
        return [load(asked, number * asked.step)]
    draw = torch.Generator().manual_seed(asked.draw)
    order = torch.randperm(asked.pictures, generator=draw).tolist()
    left = {index: load(asked, index) for index in order}
    for _ in range(number + 1):
        drawn: dict[int, LoadedImages] = {}
        for index, image in left.items():
            seen = [one.labels[0] for one in drawn.values()]
            if len(drawn) < asked.batch_size and not (asked.distinct and image.labels[0] in seen):
                drawn[index] = image
        left = {index: image for index, image in left.items() if index not in drawn}
    return list(drawn.values())


def load(asked: argparse.Namespace, index: int) -> LoadedImages:
    """One picture of the folder."""
    return load_images(ImageDataOptions(data=asked.data, index=index))


def measure(asked: argparse.Namespace, number: int) -> dict[str, Any]:
    """Attack one update and score it."""
    images = batch(asked, number)
    pixels = torch.cat([image.pixels for image in images])
    shape = (pixels.shape[1], pixels.shape[2], pixels.shape[3])
    model = load_image_model(
        ImageModelOptions(
            name=asked.model, shape=shape, classes=asked.classes, init=asked.init,
            weights_seed=number, device=asked.device,
        )
    )  # fmt: skip
    client = ImageClient(model, seed=number, defences=Defences.parse(asked.defence))
    private = client.prepare(pixels, [image.labels[0] for image in images])
    update = client.share(private)
    kind = IMAGE_ATTACKS.load(asked.attack)
    attack = kind(kind.options_class(**dict(setting.split("=") for setting in asked.set)))
    reached = Reached(private.batch, asked.until, asked.every)
    cpu = time.process_time()
    result = attack(model, update, seed=number, on_event=reached)
    cpu = time.process_time() - cpu
    scores = score(result, private).scores
    return {
        "pictures": [image.sources[0] for image in images],
        "psnr": [round(score.psnr, 1) for score in scores],
        "ssim": [score.ssim and round(score.ssim, 4) for score in scores],
        "labels": sum(score.label_match for score in scores) / len(scores),
        "gradient_error": result.gradient_error,
        "evaluations": result.evaluations,
        "iterations": reached.iteration,
        "reached": reached.at,
        "cpu_seconds": round(cpu, 1),
        "seconds": round(result.seconds, 1),
    }


class Reached:
    """Watches for the iteration at which every picture is better than a PSNR."""

    def __init__(self, truth: ImageBatch, wanted: float | None, every: int) -> None:
        self.truth = truth
        self.wanted = wanted
        self.every = every
        self.iteration = 0
        self.at: int | None = None

    def __call__(self, event: Event) -> None:
        """Look at one event."""
        if not isinstance(event, ImageIteration):
            return
        self.iteration = event.iteration
        shown = self.every and event.iteration % self.every == 0
        if not shown and (self.wanted is None or self.at is not None):
            return
        psnr = worst_psnr(decode_images(event.images), self.truth.pixels)
        if self.at is None and self.wanted is not None and psnr > self.wanted:
            self.at = event.iteration
        if shown:
            line = f"{event.iteration} objective {event.objective:.3g} worst PSNR {psnr:.1f} dB"
            print(f"  {line} after {event.seconds:.0f} s", flush=True)


def main() -> None:
    """Measure and summarise."""
    asked = arguments()
    torch.set_num_threads(1)
    rows = []
    for number in range(asked.first, asked.first + asked.count):
        rows.append(measure(asked, number))
        print(json.dumps(rows[-1]), flush=True)
    psnr = [value for row in rows for value in row["psnr"]]
    good = sum(value >= 40 for value in psnr)
    print(
        f"{good} of {len(psnr)} pictures at 40 dB or more; median {sorted(psnr)[len(psnr) // 2]} dB; "
        f"CPU seconds median {sorted(row['cpu_seconds'] for row in rows)[len(rows) // 2]}, "
        f"most {max(row['cpu_seconds'] for row in rows)}"
    )


if __name__ == "__main__":
    main()
