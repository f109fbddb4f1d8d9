import os
import socket
import stat
import tempfile
import threading
from pathlib import Path

import pytest

from textleak.core.errors import ConfigError
from textleak.core.writing import Lines, check_writable, keep, write_text


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


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "real" / "file.json")
    for text in ("one", "two"):  # first the link dangles
        check_writable(link)
        write_text(link, text)
        assert link.is_symlink()
        assert (tmp_path / "real" / "file.json").read_text() == text


def test_a_fifo_is_written_to_and_stays(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    heard: list[str] = []
    reader = threading.Thread(target=lambda: heard.append(fifo.read_text()))
    reader.start()
    check_writable(fifo)
    write_text(fifo, "said")
    reader.join()
    assert heard == ["said"]
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_a_pipe_of_this_process_is_written_to() -> None:
    ours, theirs = os.pipe()
    path = f"/dev/fd/{theirs}"  # as a shell's >(…) gives it
    check_writable(path)
    write_text(path, "said")
    os.close(theirs)
    with open(ours) as pipe:
        assert pipe.read() == "said"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes device nodes")
def test_a_device_stays_a_device(tmp_path: Path) -> None:
    node = tmp_path / "null"
    try:
        os.mknod(node, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        write_text(node, "nothing")
    except (PermissionError, ConfigError):
        pytest.skip("no device nodes here")
    assert stat.S_ISCHR(node.stat().st_mode)


def test_a_socket_and_a_name_too_long_are_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "socket"))
        with pytest.raises(ConfigError, match="it is a socket"):
            check_writable(tmp_path / "socket")
    for name in ("x" * 300, f"new/{'x' * 300}"):
        with pytest.raises(ConfigError, match=r"cannot write .*name"):
            check_writable(tmp_path / name)


def test_permissions_stay(tmp_path: Path) -> None:
    path = tmp_path / "private.json"
    path.write_text("old")
    path.chmod(0o600)
    write_text(path, "new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_said_and_ends_no_work(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot write '/dev/full': No space left"):
        write_text("/dev/full", "text")
    lines = Lines(Path("/dev/full"))
    lines.append("one")
    lines.append("two")
    assert "No space left" in lines.failure
    lines.close()


def test_a_result_is_kept_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    said = keep("result.json", "text")
    (path,) = tmp_path.iterdir()
    assert path.read_text() == "text"
    assert str(path) in said
