"""The report on an audit of images: how near they came back, by cell, as a page, Markdown and CSV."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from io import StringIO
from pathlib import Path
from statistics import median_low

from textleak.core.errors import ConfigError
from textleak.core.writing import write_text
from textleak.report.grid.summary import Place, place_of
from textleak.results.audited import BaseAudited, ImagesAudited
from textleak.results.log import ImageGridRecord
from textleak.results.record import ImageRecord

HEAD = ("model", "attack", "defence", "shared", "batch", "set", "updates", "failed")
SCORES = ("PSNR dB, median", "least", "most", "SSIM", "labels", "proven", "seconds")


@dataclass(frozen=True)
class ImageCell:
    """All runs of one place.

    Attributes:
        place: the place.
        records: its finished runs, done and failed.
    """

    place: Place
    records: list[ImageGridRecord]

    @property
    def images(self) -> list[ImageRecord]:
        """Every scored image."""
        done = (record.result for record in self.records if record.result is not None)
        return [image for result in done for image in result.images if image.mse is not None]

    @property
    def failed(self) -> int:
        """How many runs came to nothing."""
        return sum(record.result is None for record in self.records)

    @property
    def psnr(self) -> list[float]:
        """Of every image, the least first; infinite where it is equal."""
        return sorted(math.inf if i.psnr is None else i.psnr for i in self.images)

    @property
    def numbers(self) -> list[float | None]:
        """PSNR (median, least, most), SSIM, rate of right labels, rate of proven images, seconds."""
        near = self.psnr
        ends = [median_low(near), near[0], near[-1]] if near else [None] * 3
        return [
            *ends,
            _mean(image.ssim for image in self.images),
            _mean(image.label_match for image in self.images),
            _mean(float(image.verified) for image in self.images),
            _mean(record.seconds for record in self.records),
        ]

    @property
    def names(self) -> list[str]:
        """What names it, and how many updates and failures it has."""
        p = self.place
        named = [p.model, p.attack, p.defence, p.share, str(p.batch_size), p.texts]
        return [*named, str(len(self.records) - self.failed), str(self.failed)]


def cells_of(records: Iterable[ImageGridRecord]) -> list[ImageCell]:
    """One cell for every place, in the order of the records; seeds are averaged within it."""
    places: dict[Place, list[ImageGridRecord]] = defaultdict(list)
    for record in records:
        places[place_of(record)].append(record)
    return [ImageCell(place, group) for place, group in places.items()]


def write_images(
    folder: str | Path,
    audit: ImagesAudited,
    other: BaseAudited | None = None,  # type: ignore[type-arg]
) -> list[Path]:
    """Write every form of the report into `folder`; the paths, the page first.

    Raises:
        ConfigError: a file cannot be written, or another audit is to be compared with.
    """
    if other is not None:
        raise ConfigError("--compare is for audits on text; expected an audit on images alone")
    cells = cells_of(audit.records)
    texts = {
        "report.html": page(audit, cells),
        "report.md": markdown(audit, cells),
        "summary.csv": summary_csv(cells),
        "images.csv": images_csv(audit),
    }
    paths = [Path(folder) / name for name in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        write_text(path, text)
    return paths


def markdown(audit: ImagesAudited, cells: Sequence[ImageCell]) -> str:
    """The cells as a table, what was assumed, what failed, and the warnings."""
    rows = [[*HEAD, *SCORES], ["---"] * len(HEAD + SCORES)]
    rows += [[*cell.names, *map(_shown, cell.numbers)] for cell in cells]
    lines = [f"# {audit.config.title}", "", scope(audit), ""]
    lines += ["| " + " | ".join(value.replace("|", "\\|") for value in row) + " |" for row in rows]
    for title, said in notes(audit).items():
        lines += ["", f"**{title}**", "", *(f"- {line}" for line in said)]
    return "\n".join(lines) + "\n"


def page(audit: ImagesAudited, cells: Sequence[ImageCell]) -> str:
    """The same as one HTML page that needs nothing else."""
    head = "".join(f"<th>{escape(name)}</th>" for name in (*HEAD, *SCORES))
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(v)}</td>" for v in row) + "</tr>"
        for row in ([*cell.names, *map(_shown, cell.numbers)] for cell in cells)
    )
    said = "".join(
        f"<h2>{escape(title)}</h2><ul>" + "".join(f"<li>{escape(x)}</li>" for x in lines) + "</ul>"
        for title, lines in notes(audit).items()
    )
    css = (Path(__file__).parent / "templates" / "page.css").read_text(encoding="utf-8")
    title = escape(audit.config.title)
    return (
        f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{css}</style><main><h1>{title}</h1><p>{escape(scope(audit))}</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{said}</main></html>\n"
    )


def summary_csv(cells: Sequence[ImageCell]) -> str:
    """One line a cell."""
    return _csv([[*HEAD, *SCORES], *([*cell.names, *cell.numbers] for cell in cells)])


def images_csv(audit: ImagesAudited) -> str:
    """One line an image of every run."""
    fields = list(ImageRecord.model_fields)
    rows: list[list[object]] = [[*Place._fields, "index", "seed", *fields]]
    for record in audit.records:
        place = [*place_of(record), record.cell.index, record.cell.seed]
        images = record.result.images if record.result else []
        rows += [[*place, *(getattr(image, name) for name in fields)] for image in images]
    return _csv(rows)


def scope(audit: ImagesAudited) -> str:
    """How much of the grid is there."""
    failed = len(audit.failed)
    return f"{len(audit.records)} of {audit.planned} runs finished, {failed} failed."


def notes(audit: ImagesAudited) -> dict[str, list[str]]:
    """What was assumed, what failed and what makes results unreliable, each once."""
    results = [record.result for record in audit.records if record.result is not None]
    found = {
        "Assumed": [r.threat_model.describe(r.task) for r in results],
        "Models": [note for r in results for note in r.model_notes],
        "Failed": [f"{r.cell.title}: {r.error}" for r in audit.failed],
        "Reliability": [warning for r in results for warning in r.warnings],
    }
    return {title: list(dict.fromkeys(lines)) for title, lines in found.items() if lines}


def _mean(values: Iterable[float | None]) -> float | None:
    known = [float(value) for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _shown(value: float | None) -> str:
    if value is None:
        return "—"
    return "equal" if math.isinf(value) else f"{value:.3g}"


def _csv(rows: Iterable[Sequence[object]]) -> str:
    out = StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()
