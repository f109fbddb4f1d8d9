"""One run of a grid, carried out in whatever process it is sent to."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from pydantic import ValidationError

from textleak.audit import setup
from textleak.audit.record import run_record
from textleak.core.cores import threads_for
from textleak.core.errors import TextleakError
from textleak.core.registry import Registry
from textleak.grid.plan import AnyRun, GridRun
from textleak.models import ModelOptions, TextModel, load_model
from textleak.results.log import GRID_RECORDS, AnyGridRecord, GridRecord

WORKERS: Registry[Callable[[AnyRun], AnyGridRecord]] = Registry(
    "modality",
    {
        "text": "textleak.grid.worker:text_record",
        "image": "textleak.vision.grid.worker:image_record",
    },
)
KEPT = 2  # models that a worker keeps; runs come sorted by model


def carry_out(run: AnyRun) -> Any:
    """Make the update of `run`, attack it, and record what came of it.

    Nothing that a user or an attack gets wrong goes through: it is the record's error.
    """
    started = time.perf_counter()
    try:
        torch.set_num_threads(threads_for(run.config.threads))
        record = WORKERS.load(run.config.MODALITY)(run)
    except Exception as error:
        return failed(run, _one_line(error), time.perf_counter() - started)
    try:
        type(record).model_validate_json(record.to_line())
    except ValidationError as error:
        return failed(run, f"the result is not a number somewhere: {_one_line(error)}")
    return record


def failed(run: AnyRun, error: str, seconds: float = 0.0) -> AnyGridRecord:
    """The record of a run that came to nothing."""
    return GRID_RECORDS[run.config.MODALITY](
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


def text_record(run: GridRun) -> GridRecord:
    """The record of a run on text."""
    config = run.config
    model = _model(setup.model_options(config), config.task)
    started = time.perf_counter()
    attack = setup.build_attack(config)
    audit = setup.run_audit(config, model, attack, setup.private_text(config))
    header = setup.run_header("audit", config, model, attack)
    pieces = setup.model_pieces(model)
    for sequence in audit.sequences:
        pieces(sequence.recovered_ids)
        pieces(sequence.reference_ids or [])
    return GridRecord(
        key=run.key,
        status="done",
        cell=run.cell,
        config=config,
        result=run_record(header, audit, []),
        pieces={str(token): name for token, name in sorted(pieces.seen.items())},
        fingerprint=model.recipe.fingerprint or "",
        seconds=time.perf_counter() - started,
    )


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    plain = isinstance(error, TextleakError)
    return text if plain else f"{type(error).__name__}: {text}"[:500]
