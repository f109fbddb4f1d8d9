"""An audit that never ran: two attacks, five defences, two batch sizes, made-up scores."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from textleak.core.config import RunConfig
from textleak.core.grid_config import GridConfig, defence_title
from textleak.core.threat_model import ThreatModel
from textleak.grid.plan import GridRun, run_key
from textleak.grid.worker import failed
from textleak.results.audited import Audited, read_audit
from textleak.results.cell import Cell
from textleak.results.grid_file import write_grid
from textleak.results.log import GridRecord, ResultsFile
from textleak.results.record import RunRecord, SequenceRecord

TEXTS = [f"the cat & dog <{n}> sat" for n in range(12)]
PIECES = {"5": "the", "6": "cat", "7": "&", "8": "<b>", "9": "##s", "10": "it"}
DEFENCES = [(), ("gaussian:std=1e-3",), ("gaussian:std=1e-1",), ("fp16",), ("prune:ratio=0.2",)]
# the share of the five tokens that comes back: by defence, then by attack
SCORES = {
    "none": (5, 3),
    "gaussian:std=1e-3": (5, 1),
    "gaussian:std=1e-1": (0, 0),
    "fp16": (4, 4),
    "prune:ratio=0.2": (1, 0),
}


def sequence(text: str, hits: int) -> SequenceRecord:
    truth = [5, 6, 7, 8, 9]
    found = truth[:hits] + [10] * (5 - hits)
    match = sum(a == b for a, b in zip(truth, found, strict=True)) / 5
    return SequenceRecord(
        reference=text,
        recovered="…",
        reference_ids=truth,
        recovered_ids=found,
        token_match=match,
        exact=match == 1,
        rouge1=match,
        rouge2=match / 2,
        rougeL=match,
    )


def run_of(attack: str, specs: tuple[str, ...], size: int, index: int) -> GridRun:
    texts = TEXTS[index * size : (index + 1) * size]
    config = RunConfig(
        attack="dlg",
        options={"restarts": 1 if attack == "sharp" else 2},
        defences=specs,
        sentences=tuple(texts),
        seed=index,
    )
    cell = Cell(
        texts="cats",
        index=index,
        batch_size=size,
        model="tiny",
        task="mlm",
        attack=attack,
        defence=defence_title(specs),
        share="all",
        seed=0,
    )
    return GridRun(cell, config, run_key(cell, config))


def record_of(run: GridRun, hits: int) -> GridRecord:
    sequences = [sequence(text, hits) for text in run.config.sentences]
    rate = sequences[0].token_match
    result = RunRecord(
        command="audit",
        attack="dlg",
        model="tiny",
        weights="random",
        activation="keep",
        task="mlm",
        threat_model=ThreatModel(),
        defences=run.config.defences,
        versions={"torch": "2.0"},
        sequences=sequences,
        token_match=rate,
        exact_rate=float(rate == 1),
        rouge1=rate,
        rouge2=rate,
        rougeL=rate,
        verified=rate == 1,
        gradient_error=0.5,
        evaluations=3,
        seconds=1.0,
        seconds_per_evaluation=0.3,
        warnings=["look twice"] if rate == 0 else [],
    )
    return GridRecord(
        key=run.key,
        status="done",
        cell=run.cell,
        config=run.config,
        result=result,
        pieces=PIECES,
        seconds=1.5,
    )


Write = Callable[..., Path]


@pytest.fixture
def write_audit(tmp_path: Path) -> Write:
    """Write the audit to a folder; `better` tokens more come back everywhere."""

    def write(name: str = "audit", better: int = 0) -> Path:
        folder = tmp_path / name
        runs = [
            run_of(attack, specs, size, index)
            for (attack, size), specs in product(
                (("sharp", 1), ("sharp", 2), ("blunt", 1)), DEFENCES
            )
            for index in range(12 // size)
        ]
        with ResultsFile(folder) as results:
            for run in runs[:-1]:  # the last one is missing
                cell = run.cell
                hits = SCORES[cell.defence][cell.attack == "blunt"]
                if cell.attack == "blunt" and cell.defence == "fp16" and cell.index == 0:
                    results.append(failed(run, "IndexError: <no> such thing"))
                else:
                    extra = better + (cell.index % 2 if 0 < hits < 5 else 0)
                    results.append(record_of(run, min(5, hits + extra)))
        config = GridConfig(title="Cats & <dogs>", texts=TEXTS)
        write_grid(folder, config, [run.key for run in runs])
        return folder

    return write


@pytest.fixture
def audited(write_audit: Write) -> Audited:
    return read_audit(write_audit())
