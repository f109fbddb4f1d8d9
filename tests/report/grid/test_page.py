"""The page says what the results say, and stands by itself."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from textleak.report.grid.page import render_page
from textleak.results.audited import Audited, read_audit

METRICS = ("token_match", "exact", "rouge1", "rouge2", "rougeL")
PLACE = ("model", "task", "attack", "defence", "share", "batch_size", "texts")


class Numbers(HTMLParser):
    """Every number of the table of all numbers, as the page carries it."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: dict[str, dict[str, float]] = defaultdict(dict)
        self.heat: list[float] = []
        self._cell: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "tr":
            self._cell = given.get("data-cell")
        elif "data-value" in given and self._cell:
            self.cells[self._cell][str(given["data-metric"])] = float(str(given["data-value"]))
        elif "data-value" in given:
            self.heat.append(float(str(given["data-value"])))


def from_results(folder: Path) -> dict[str, dict[str, float]]:
    """The same numbers, computed from the lines of the results file by hand."""
    scores: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    counts: dict[str, dict[str, float]] = defaultdict(lambda: {"updates": 0, "failed": 0})
    for line in (folder / "results.jsonl").read_text().splitlines():
        record = json.loads(line)
        cell = "|".join(str(record["cell"][axis]) for axis in PLACE)
        counts[cell]["updates" if record["result"] else "failed"] += 1
        for sequence in record["result"]["sequences"] if record["result"] else ():
            for metric in METRICS:
                scores[cell][metric].append(float(sequence[metric]))
        if record["result"]:
            scores[cell]["verified"].append(float(record["result"]["verified"]))
    return {
        cell: {**counts[cell], **{m: sum(v) / len(v) for m, v in scores[cell].items()}}
        for cell in counts
    }


def test_every_number_on_the_page_is_that_of_the_results(
    write_audit: Callable[..., Path],
) -> None:
    folder = write_audit()
    page = Numbers()
    page.feed(render_page(read_audit(folder)))
    expected = from_results(folder)
    assert page.cells.keys() == expected.keys()
    for cell, numbers in expected.items():
        assert page.cells[cell] == pytest.approx(numbers), cell
    assert sorted(page.heat) == pytest.approx(sorted(n["token_match"] for n in expected.values()))


def test_the_page_stands_by_itself_and_escapes_what_it_shows(audited: Audited) -> None:
    html = render_page(audited)
    assert "Cats &amp; &lt;dogs&gt;" in html
    assert "&lt;no&gt; such thing" in html
    assert '<span class="t right">&lt;b&gt;</span>' in html
    assert "<dogs>" not in html
    links = re.findall(r'(?:src|href|xlink:href)="([^"]*)"', html)
    assert all(link.startswith("#") for link in links)
    assert "@import" not in html
    assert html.count("<svg ") == 2
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html


def test_the_summary_comes_first_in_plain_words(audited: Audited) -> None:
    html = render_page(audited)
    lead = html[html.index('class="lead"') : html.index("</section>")]
    assert "sharp on tiny (mlm, one sentence an update) gave back 100% of the word pieces" in lead
    assert "Weakened the attack, without stopping it: prune:ratio=0.2." in lead
    assert "Did not hide the texts: gaussian:std=1e-3; fp16." in lead
    assert "known: model, task, batch size, lengths; not known: labels" in lead
    assert "Not finished: 1 run missing." in html
    assert "blunt under fp16: 1 run: IndexError" in html
    assert "look twice" in html
    assert "fewer than 10 updates: 5 of 15 cells (sharp · batch 2 · none;" in html


def test_two_audits_beside_each_other(write_audit: Callable[..., Path]) -> None:
    here, there = read_audit(write_audit("here", better=2)), read_audit(write_audit("there"))
    html = render_page(here, there)
    said = html[html.index("cells with sentences") - 3 :][:70]
    assert said.startswith("15 cells with sentences in both; 11 of them clearly differ.")
    assert "more leaks" in html
    assert "Compared with" not in render_page(here)


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--window-size=1000,1500", "--hide-scrollbars"),
)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_a_browser_shows_it_light_dark_and_on_paper(audited: Audited, tmp_path: Path) -> None:
    from PIL import Image

    page = tmp_path / "report.html"
    page.write_text(render_page(audited), encoding="utf-8")

    def browse(*more: str) -> Any:
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        command = [str(CHROMIUM), *FLAGS, profile, *more, page.as_uri()]
        return subprocess.run(command, check=True, capture_output=True, timeout=120)

    corners = []
    for theme in ("1", "0"):
        picture = tmp_path / f"{theme}.png"
        browse(f"--blink-settings=preferredColorScheme={theme}", f"--screenshot={picture}")
        with Image.open(picture) as image:
            corners.append(image.convert("L").getpixel((2, 2)))
    assert corners[0] > 250
    assert corners[1] < 40
    browse("--no-pdf-header-footer", f"--print-to-pdf={tmp_path / 'report.pdf'}")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
