from pathlib import Path

import pytest

from textleak.errors import ConfigError
from textleak.report.files import check_writable, write_text


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    write_text(tmp_path / "new" / "a.json", "one")
    write_text(tmp_path / "new" / "a.json", "two")
    assert (tmp_path / "new" / "a.json").read_text() == "two"
    assert len(list((tmp_path / "new").iterdir())) == 1


@pytest.mark.parametrize("name", ["file/x.json", "file/deep/x.json", "."])
def test_what_cannot_be_written_is_refused_and_nothing_left(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match="cannot write"):
        check_writable(tmp_path / name)
    with pytest.raises(ConfigError, match="cannot write"):
        write_text(tmp_path / name, "text")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_checking_leaves_nothing(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b.json")
    assert list(tmp_path.iterdir()) == []
