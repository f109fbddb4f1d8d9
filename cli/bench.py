"""`textleak bench`: measurements of textleak's own cost."""

from __future__ import annotations

import json as json_text
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options as o
from .output import Output

if TYPE_CHECKING:
    from rich.table import Table

    from textleak.bench.matching import Measurement

app = typer.Typer(add_completion=False)


@app.callback()
def bench() -> None:
    """Measure what textleak costs on this machine."""


@app.command()
def matching(
    model: Annotated[str, typer.Option("--model", "-m", help="A preset, minilm, a Hub id.")] = (
        "bert-mini"
    ),
    tokens: Annotated[
        list[int] | None, typer.Option(min=2, help="Tokens a sequence, default 18; repeat.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Sequences of one candidate.")] = 1,
    restarts: Annotated[
        list[int] | None, typer.Option(min=1, help="Candidates at once, default 16; repeat.")
    ] = None,
    distance: Annotated[str, typer.Option(help="How gradients are compared.")] = "cosine",
    rounds: Annotated[int, typer.Option(min=1, help="Alternating rounds; medians count.")] = 5,
    threads: o.Threads = None,
    device: o.Device = None,
    seed: Annotated[int, typer.Option(help="Seeds weights, words and dummies.")] = 0,
    json: o.Json = None,
) -> None:
    """Time one distance and its gradient: the engine beside double backward, in one process.

    Both sides run the same masked-language-model forward, alternating. Seconds are per candidate.
    With --tokens or --restarts repeated the table has a row for each, and the JSON's own keys are
    those of the last.
    """
    output = Output(json=json)
    results: list[dict[str, Any]] = []
    with output.busy(f"measuring {model} …"):
        from textleak.report.header import versions

        for length in tokens or [18]:
            found, count = _measure(
                model, length, batch, restarts or [16], distance, rounds, threads, device, seed
            )
            results += [_row(model, length, batch, count, one) for one in found]
    output.console.print(_table(results))
    whole = {"schema": 1, "command": "bench matching", "distance": distance, "seed": seed}
    output.write_json(
        json_text.dumps({**whole, **results[-1], "versions": versions(), "rows": results}, indent=2)
        + "\n"
    )


def _measure(
    model: str,
    tokens: int,
    batch: int,
    restarts: list[int],
    distance: str,
    rounds: int,
    threads: int | None,
    device: str | None,
    seed: int,
) -> tuple[list[Measurement], int]:
    """The measurements for one length, and the number of threads they ran with."""
    import torch

    from textleak.bench.matching import masked_words, measure
    from textleak.gradients import Distance
    from textleak.models import ModelOptions, load_model

    before = torch.get_num_threads()
    chosen = Distance(distance)
    loaded = load_model(ModelOptions(name=model, weights_seed=seed, device=device or "cpu"))
    problem = masked_words(
        loaded.module,
        lambda embeddings: loaded.adapter.encode(loaded.module, inputs_embeds=embeddings),
        lambda states: loaded.adapter.head(loaded.module, states, "mlm"),
        loaded.word_table,
        tokens,
        batch,
        seed,
    )
    torch.set_num_threads(threads or before)
    try:
        return measure(problem, chosen, restarts, rounds), torch.get_num_threads()
    finally:
        torch.set_num_threads(before)


def _row(model: str, tokens: int, batch: int, threads: int, one: Measurement) -> dict[str, Any]:
    setting = {"model": model, "tokens": tokens, "batch": batch}
    return {**setting, "threads": threads, "ratio": one.ratio, **asdict(one)}


def _table(rows: list[dict[str, Any]]) -> Table:
    from rich.table import Table

    table = Table(title=f"{rows[0]['model']}, {rows[0]['threads']} threads", title_justify="left")
    table.add_column("tokens", justify="right")
    table.add_column("restarts", justify="right")
    for column in ("oracle", "engine", "ratio", "floor", "oracle MB", "engine MB"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            f"{row['tokens']} × {row['batch']}",
            str(row["restarts"]),
            f"{row['seconds_oracle'] * 1e3:.1f} ms",
            f"{row['seconds_engine'] * 1e3:.1f} ms",
            f"{row['ratio']:.1f}",
            f"{row['floor_seconds'] * 1e3:.1f} ms",
            f"{row['peak_bytes_oracle'] / 1e6:.0f}",
            f"{row['peak_bytes_engine'] / 1e6:.0f}",
        )
    return table
