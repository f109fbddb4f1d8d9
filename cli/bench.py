"""`textleak bench`: measurements of textleak's own cost."""

from __future__ import annotations

import json as json_text
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textleak.core.bounds import SEEDS
from textleak.core.config import RunConfig

from .options import Given, command, of
from .output import Output, OutputOptions

if TYPE_CHECKING:
    from rich.table import Table

    from textleak.bench.matching import Problem

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.callback()
def bench() -> None:
    """Measure what textleak costs on this machine."""


@command(
    app,
    given=of(RunConfig, only=("threads", "device")),
    shown=of(OutputOptions, only=("json_to", "debug")),
)
def matching(
    given: Given,
    shown: Given,
    model: Annotated[
        str, typer.Option("--model", "-m", help="A preset, minilm, a Hub id; lenet, resnet20.")
    ] = "bert-mini",
    tokens: Annotated[
        list[int] | None, typer.Option(min=2, help="Tokens a sequence, default 18; repeat.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Sequences of one candidate.")] = 1,
    restarts: Annotated[
        list[int] | None, typer.Option(min=1, help="Candidates at once, default 16; repeat.")
    ] = None,
    distance: Annotated[str, typer.Option(help="How gradients are compared.")] = "cosine",
    rounds: Annotated[int, typer.Option(min=1, help="Alternating rounds; medians count.")] = 5,
    seed: Annotated[
        int, typer.Option(min=0, max=SEEDS - 1, help="Seeds weights, words and dummies.")
    ] = 0,
) -> None:
    """Time one distance and its gradient: the engine beside double backward, in one process.

    Both sides run the same masked-language-model forward, alternating. Seconds are per candidate.
    A network for images (lenet, resnet20 …) is timed on 32×32 images in place of sentences.
    With --tokens or --restarts repeated the table has a row for each, and the JSON's own keys are
    those of the last.
    """
    output, run = Output(shown.made(OutputOptions)), given.made(RunConfig)
    rows: list[dict[str, Any]] = []
    with output.busy(f"measuring {model} …"), _threads(run.threads) as used:
        from textleak.bench.matching import measure
        from textleak.gradients import Distance
        from textleak.results.header import versions

        compared = Distance(distance)
        for length, problem in _problems(model, tokens or [18], batch, seed, run.device):
            for one in measure(problem, compared, restarts or [16], rounds):
                setting = dict(model=model, tokens=length, batch=batch, threads=used)
                rows.append({**setting, "ratio": one.ratio, **asdict(one)})
    whole = {"schema": 1, "command": "bench matching", "distance": distance, "seed": seed}
    text = json_text.dumps({**whole, **rows[-1], "versions": versions(), "rows": rows}, indent=2)
    output.deliver(text + "\n", [_table(rows)])


def _problems(
    model: str, tokens: list[int], batch: int, seed: int, device: str
) -> Iterator[tuple[int | None, Problem]]:
    """What is timed: masked words at each length, or images, which have none."""
    from textleak.vision.models.loading import NETWORKS

    if model in NETWORKS:
        from textleak.vision.bench import soft_labelled_images
        from textleak.vision.models import ImageModelOptions, load_image_model

        options = ImageModelOptions(name=model, shape=(3, 32, 32), weights_seed=seed, device=device)
        yield None, soft_labelled_images(load_image_model(options), batch, seed)
        return
    from textleak.bench.matching import masked_words
    from textleak.models import ModelOptions, load_model

    loaded = load_model(ModelOptions(name=model, weights_seed=seed, device=device))
    for length in tokens:
        yield length, masked_words(loaded, length, batch, seed)


@contextmanager
def _threads(wanted: int | None) -> Iterator[int]:
    """Let torch use that many threads, and its former number afterwards; yields the number used."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(wanted or before)
    try:
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)


def _table(rows: list[dict[str, Any]]) -> Table:
    from rich.table import Table

    table = Table(title=f"{rows[0]['model']}, {rows[0]['threads']} threads", title_justify="left")
    for column in ("T", "B", "R", *(f"{side} ms" for side in ("oracle", "engine", "floor"))):
        table.add_column(column, justify="right")
    for column in ("ratio", "oracle MB", "engine MB"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            *(
                "–" if row[key] is None else str(row[key])
                for key in ("tokens", "batch", "restarts")
            ),
            f"{row['seconds_oracle'] * 1e3:.1f}",
            f"{row['seconds_engine'] * 1e3:.1f}",
            f"{row['floor_seconds'] * 1e3:.1f}",
            f"{row['ratio']:.1f}",
            f"{row['peak_bytes_oracle'] / 1e6:.0f}",
            f"{row['peak_bytes_engine'] / 1e6:.0f}",
        )
    return table
