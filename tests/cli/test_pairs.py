"""Pairs and packed rows on the command line, captured, inverted and in one go."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from families.folders import CORPUS, make_folder

Textleak = Callable[..., Any]


def test_pairs_come_back_from_a_file(textleak: Textleak, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "model", "bert", "classification", initializer_range=0.07)
    texts, record = tmp_path / "pairs.jsonl", tmp_path / "record.json"
    lines = [
        {"text": "two dogs ran", "text_pair": "one cat"},
        {"text": "a cup", "text_pair": "his"},
    ]
    texts.write_text("\n".join(map(json.dumps, lines)))
    common = ["--model", folder, "--task", "classification"]
    shown = ["--attack", "subspace", "--quiet", "--json", record]
    assert textleak("capture", *common, "--file", texts, "--pair", "-o", "u.safetensors").code == 0
    assert textleak("invert", "u.safetensors", *common, "--reference", texts, *shown).code == 0
    inverted = json.loads(record.read_text())
    assert textleak("attack", *common, "--file", texts, "--pair", *shown).code == 0
    attacked = json.loads(record.read_text())
    for found in (inverted, attacked):
        assert found["exact_rate"] == 1
        for row in found["sequences"]:
            assert row["recovered_pair"] == row["reference_pair"]
            assert len(row["recovered_pair"]) == 2
        assert found["feed"]["pairs"]
    outcome = textleak("attack", *common, "--file", texts, *shown)
    assert outcome.code == 2
    assert 'pairs.jsonl:1: expected no "text_pair" without --pair' in outcome.err
    outcome = textleak("attack", *common, "-s", "one text", "--pair", *shown)
    assert outcome.code == 2
    assert "expected two segments with a tab between them, got 1" in outcome.err


def test_a_packed_row_comes_back(textleak: Textleak, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "model", "bert", "mlm", initializer_range=0.07)
    texts, record = tmp_path / "lines.txt", tmp_path / "record.json"
    texts.write_text("\n".join(CORPUS[:3]))
    rows = ["--packed", "--max-length", "18", "--model", folder]
    assert (
        textleak(
            "attack", "--file", texts, *rows, "--attack", "subspace", "--quiet", "--json", record
        ).code
        == 0
    )
    found = json.loads(record.read_text())
    assert found["exact_rate"] == 1
    assert {len(row["recovered_ids"]) for row in found["sequences"]} == {18}
    outcome = textleak("attack", "-s", "a", "--pair", "--packed", "--model", folder)
    assert outcome.code == 2
    assert "pairs have a frame" in outcome.err
