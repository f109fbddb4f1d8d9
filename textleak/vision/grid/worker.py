"""One run of a grid on images, carried out in whatever process it is sent to."""

from __future__ import annotations

import time

from textleak.results.log import ImageGridRecord
from textleak.vision.audit import audit_images
from textleak.vision.grid.plan import ImageRun
from textleak.vision.record import image_record as record_of
from textleak.vision.setup import build_attack, run_header, sharing


def image_record(run: ImageRun) -> ImageGridRecord:
    """The record of a run on images."""
    config = run.config
    shared = sharing(config)
    started = time.perf_counter()
    attack = build_attack(config)
    audit = audit_images(
        shared.model, attack, shared.exchanges, seed=config.seed, budget=config.budget
    )
    header = run_header("vision audit", config, shared.model, attack, notes=shared.notes)
    recipe = shared.model.recipe
    return ImageGridRecord(
        key=run.key,
        status="done",
        cell=run.cell,
        config=config,
        result=record_of(header, audit, []),
        fingerprint=(recipe.fingerprint if recipe else None) or "",
        seconds=time.perf_counter() - started,
    )
