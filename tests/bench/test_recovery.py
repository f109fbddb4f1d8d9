"""The batches that the recovery benchmark makes of lines, and how it sums their costs up."""

from __future__ import annotations

from pathlib import Path

from textleak.bench.recovery import batches_of, read_lines, spread

ROWS = [{"text": f"line {i}", "label": i % 2} for i in range(7)]


def test_lines_are_split_at_newlines_alone(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text('{"text": "a\u2028b"}\n\n{"text": "c"}\n', encoding="utf-8")
    assert [row["text"] for row in read_lines(path, 0)] == ["a\u2028b", "c"]
    assert [row["text"] for row in read_lines(path, 1)] == ["c"]


def test_the_first_batches_keep_the_order_and_more_are_drawn_from_all_lines() -> None:
    batches = batches_of(ROWS, size=2, count=8, task="classification")
    assert len(batches) == 8
    assert batches[0].sentences == ["line 0", "line 1"]
    assert batches[0].labels == [0, 1]
    assert batches[2].sentences == ["line 4", "line 5"]
    again = [text for batch in batches[3:6] for text in batch.sentences]
    assert len(set(again)) == 6  # each line once a pass
    assert batches == batches_of(ROWS, size=2, count=8, task="classification")


def test_too_few_lines_give_no_batch() -> None:
    assert batches_of(ROWS, size=8, count=3, task="mlm") == []


def test_the_95th_percentile_is_reached_by_five_in_a_hundred() -> None:
    assert spread([float(i) for i in range(1, 101)]) == {"median": 50.5, "p95": 95.0, "most": 100.0}
