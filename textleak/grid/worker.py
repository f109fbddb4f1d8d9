"""One run of a grid, carried out in whatever process it is sent to."""

from __future__ import annotations

import time
from functools import lru_cache

import torch
from pydantic import ValidationError

from textleak.audit import setup
from textleak.audit.record import run_record
from textleak.core.cores import threads_for
from textleak.core.errors import TextleakError
from textleak.grid.plan import GridRun
from textleak.models import ModelOptions, TextModel, load_model
from textleak.results.log import GridRecord

KEPT = 2  # models that a worker keeps; runs come sorted by model


def carry_out(run: GridRun) -> GridRecord:
    """Make the update of `run`, attack it, and record what came of it.

    Nothing that a user or an attack gets wrong goes through: it is the record's error.
    """
    started = time.perf_counter()
    try:
        torch.set_num_threads(threads_for(run.config.threads))
        model = _model(setup.model_options(run.config), run.config.task)
        started = time.perf_counter()
        return _done(run, model, started)
    except Exception as error:
        return failed(run, _one_line(error), time.perf_counter() - started)


def failed(run: GridRun, error: str, seconds: float = 0.0) -> GridRecord:
    """The record of a run that came to nothing."""
    return GridRecord(
        key=run.key,
        status="failed",
        cell=run.cell,
        config=run.config,
        error=error,
        seconds=seconds,
    )


@lru_cache(maxsize=KEPT)
def _model(options: ModelOptions, task: str) -> TextModel:
    return load_model(options, task)


def _done(run: GridRun, model: TextModel, started: float) -> GridRecord:
    config = run.config
    attack = setup.build_attack(config)
    audit = setup.run_audit(config, model, attack, setup.private_text(config))
    header = setup.run_header("audit", config, model, attack)
    pieces = setup.model_pieces(model)
    for sequence in audit.sequences:
        pieces(sequence.recovered_ids)
        pieces(sequence.reference_ids or [])
    record = GridRecord(
        key=run.key,
        status="done",
        cell=run.cell,
        config=config,
        result=run_record(header, audit, []),
        pieces={str(token): name for token, name in sorted(pieces.seen.items())},
        fingerprint=model.recipe.fingerprint or "",
        seconds=time.perf_counter() - started,
    )
    try:
        GridRecord.model_validate_json(record.to_line())
    except ValidationError as error:
        return failed(run, f"the result is not a number somewhere: {_one_line(error)}")
    return record


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    plain = isinstance(error, TextleakError)
    return text if plain else f"{type(error).__name__}: {text}"[:500]
