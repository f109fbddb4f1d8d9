"""What leaks of pictures under each defence: a row a defence, beside what the paper found.

    python examples/image_defences.py --data FOLDER --count 3

Each picture is an update of its own, with a network of its own; the PSNR is that of `dlg`'s recovery in dB. The last column is *Deep Leakage from Gradients*, sections 5.1 and 5.2.
"""

from __future__ import annotations

from statistics import median

import torch
from measure_images import arguments, measure

YES, NO = "recovers", "fails"
GRID = {
    "none": YES,
    "prune:ratio=0.01": YES,
    "prune:ratio=0.1": YES,
    "prune:ratio=0.2": "artefacts",
    "prune:ratio=0.3": NO,
    "prune:ratio=0.5": NO,
    "prune:ratio=0.7": NO,
    "gaussian:std=1e-4": YES,
    "gaussian:std=1e-3": YES,
    "gaussian:std=1e-2": NO,
    "gaussian:std=1e-1": NO,
    "laplacian:std=1e-4": YES,
    "laplacian:std=1e-3": YES,
    "laplacian:std=1e-2": NO,
    "laplacian:std=1e-1": NO,
    "fp16": YES,
    "bf16": "–",
    "int8": NO,
}
SEEN = 20.0  # dB: what the picture shows is there


def main() -> None:
    """Attack the same pictures under one defence after another."""
    asked = arguments()
    torch.set_num_threads(1)
    print("| defence | PSNR, median (least to most) | above 20 dB | labels | CPU s | the paper |")
    print("| --- | --- | --- | --- | --- | --- |")
    for spec in asked.defence or GRID:
        asked.defence = [] if spec == "none" else [spec]
        rows = [measure(asked, n) for n in range(asked.first, asked.first + asked.count)]
        psnr = [value for row in rows for value in row["psnr"]]
        right = sum(row["labels"] for row in rows) / len(rows)
        print(
            f"| {spec} | {median(psnr):.1f} ({min(psnr)} to {max(psnr)}) "
            f"| {sum(value > SEEN for value in psnr)}/{len(psnr)} | {right:.2f} "
            f"| {median(row['cpu_seconds'] for row in rows):.1f} | {GRID.get(spec, '–')} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
