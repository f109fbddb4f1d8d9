from pathlib import Path

import pytest

from textleak.client.reading import in_batches, read_sentences
from textleak.core.errors import DataError


def test_lines_of_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one line\n\n  two lines \n", encoding="utf-8")
    assert read_sentences(tmp_path / "a.txt") == (["one line", "two lines"], None)


def test_json_lines_with_labels(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "é", "label": 1, "more": 2}\n{"text": "b", "label": 0}\n', "utf-8")
    assert read_sentences(path) == (["é", "b"], [1, 0])
    path.write_text('{"text": "a", "label": 1}\n{"text": "b"}\n')
    assert read_sentences(path) == (["a", "b"], None)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("", "no sentence in"),
        ('{"text": "a"}\n{"text"', "jsonl:2: not JSON"),
        ('["a"]', 'jsonl:1: expected an object with "text"'),
        ('{"text": 3}', 'jsonl:1: expected an object with "text"'),
        ('{"text": "a", "label": "x"}', "expected a whole number"),
        ('{"text": "a", "label": true}', "expected a whole number"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, content: str, match: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(content)
    with pytest.raises(DataError, match=match):
        read_sentences(path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read sentences"):
        read_sentences(tmp_path / "none.txt")
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(DataError, match="not UTF-8"):
        read_sentences(tmp_path / "b.txt")


def test_only_a_newline_ends_a_line(tmp_path: Path) -> None:
    text = "a\u2028b\u0085c\x0bd\x1ce\rf"
    (tmp_path / "a.txt").write_bytes(f"\ufeff{text}\r\nsecond\n".encode())
    assert read_sentences(tmp_path / "a.txt") == ([text, "second"], None)
    lines = '\ufeff{"text": "x\u2028y"}\n{"text": "z"}\n'
    (tmp_path / "a.jsonl").write_text(lines, encoding="utf-8")
    assert read_sentences(tmp_path / "a.jsonl") == (["x\u2028y", "z"], None)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".json", ".CSV"])
def test_tables_are_refused(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a{suffix}").write_text("text\nthe cat sat")
    with pytest.raises(DataError, match=r"expected \.txt .* or \.jsonl"):
        read_sentences(tmp_path / f"a{suffix}")


@pytest.mark.parametrize(
    ("line", "match"),
    [
        (b'{"text": "\\ud800"}', r"jsonl:2: expected text, got U\+D800, half of a character"),
        (b"[" * 200_000, "jsonl:2: too deep"),
        (
            b'{"text": "a", "label": ' + b"9" * 5000 + b"}",
            "jsonl:2: too deep, or a number too long",
        ),
        (b"\xff", "jsonl:2: not UTF-8"),
    ],
)
def test_odd_lines_are_named(tmp_path: Path, line: bytes, match: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "a"}\n' + line + b"\n")
    with pytest.raises(DataError, match=match):
        read_sentences(tmp_path / "a.jsonl")


def test_names_that_no_file_can_have() -> None:
    for name in ("x" * 300, "a\0b.txt"):
        with pytest.raises(DataError, match="cannot read sentences"):
            read_sentences(name)


def test_labels_stay_with_their_sentences() -> None:
    assert in_batches(["a", "b", "c"], [0, 1, 2], 2) == [(["a", "b"], [0, 1]), (["c"], [2])]
    assert in_batches(["a", "b"], None, None) == [(["a", "b"], None)]


def test_a_file_without_end_is_refused() -> None:
    with pytest.raises(DataError, match="cannot read sentences from '/dev/zero': expected at most"):
        read_sentences("/dev/zero", most=1000)


def test_a_file_of_just_so_many_bytes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("the cat\n")
    assert read_sentences(path, most=8) == (["the cat"], None)
    with pytest.raises(DataError, match="expected at most 7 bytes"):
        read_sentences(path, most=7)
