"""How many threads a run takes where nobody says."""

import pytest

from textleak.core import cores


@pytest.mark.parametrize(
    ("load", "threads"), [(0.0, 8), (0.4, 8), (1.2, 7), (6.6, 1), (7.9, 1), (64.0, 1)]
)
def test_as_many_threads_as_idle_cores(
    monkeypatch: pytest.MonkeyPatch, load: float, threads: int
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(cores, "cores", lambda: 8)
    monkeypatch.setattr("os.getloadavg", lambda: (load, 0.0, 0.0), raising=False)
    assert cores.threads_for(None) == threads


def test_what_is_said_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert cores.threads_for(None) == 3
    assert cores.threads_for(5) == 5


def test_a_system_that_tells_no_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delattr("os.getloadavg", raising=False)
    monkeypatch.setattr(cores, "cores", lambda: 4)
    assert cores.threads_for(None) == 4
