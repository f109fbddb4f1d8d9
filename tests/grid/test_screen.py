"""The terminal's views of a grid, as exact text at a fixed width."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO

import pytest
from rich.console import Console
from textleak_cli.audit_screen import GridProgress, GridScreen, grid_view, record_line

from textleak.grid.estimate import Costs
from textleak.grid.plan import GridRun
from textleak.grid.prepare import PreparedGrid
from textleak.grid.worker import failed
from textleak.results.log import GridRecord


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def progress(prepared: Callable[..., PreparedGrid]) -> GridProgress:
    return GridProgress(prepared().runs, Costs({}), workers=2, clock=Clock())


def done(run: GridRun, seconds: float) -> GridRecord:
    return failed(run, "", seconds).model_copy(update={"status": "done", "error": None})


def shown(progress: GridProgress) -> list[str]:
    console = Console(file=StringIO(), width=76, legacy_windows=False)
    console.print(grid_view(progress))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def test_the_live_view_has_a_bar_for_all_and_one_for_every_run_under_way(
    progress: GridProgress,
) -> None:
    first, second, third, _ = progress.runs
    clock = progress.clock
    assert isinstance(clock, Clock)
    progress.begin(first)
    clock.now = 10.0
    progress.end(done(first, 10.0))
    progress.begin(second)
    clock.now = 15.0
    progress.begin(third)
    assert shown(progress) == [
        "audit ━━━━━                1/4 runs, 0:15, about 12 s left",
        " 0:05 ━━━━━━━━━━           short · mlm · mlm · none · sentences 2 · seed 0",
        " 0:00                      short · mlm · mlm · gaussian:std=0.01 · sentence…",
    ]


def test_a_finished_run_is_one_line(progress: GridProgress) -> None:
    first = progress.runs[0]
    progress.end(failed(first, "it fell over", 2.0))
    line = record_line(failed(first, "it fell over"), progress)
    assert line == ("[1/4] short · mlm · mlm · none · sentences 1 · seed 0: failed: it fell over")
    assert progress.failed == 1


def test_failures_stay_on_the_screen_even_when_it_is_quiet(progress: GridProgress) -> None:
    out = StringIO()
    with GridScreen(Console(file=out, width=60), progress, "quiet") as screen:
        screen.begin(progress.runs[0])
        screen.finished(done(progress.runs[0], 1.0))
        screen.finished(failed(progress.runs[1], "it fell over"))
    assert out.getvalue().count("\n") == 1
    assert "it fell over" in out.getvalue()


def test_an_estimate_says_what_it_rests_on(prepared: Callable[..., PreparedGrid]) -> None:
    runs = prepared().runs
    costs = Costs({("mlm", "mlm"): 10_800_000})
    assert costs.estimate(runs).describe(2) == (
        "about 20 s on 2 workers (4 from recorded costs, good to a factor of a few)"
    )
    costs.add(done(runs[0], 3.0))
    assert costs.estimate(runs[1:]).describe(1) == (
        "about 9 s on 1 worker (1 from runs measured here; 2 from recorded costs, good to a factor"
        " of a few)"
    )
    assert costs.estimate([]).describe(1) == "nothing left to run"
    unknown = Costs({}).estimate(runs)
    assert unknown.describe(1) == "no estimate before the first runs are done"


@pytest.mark.parametrize("iterations", [100, 200])
def test_a_descent_is_estimated_by_its_options(
    prepared: Callable[..., PreparedGrid], iterations: int
) -> None:
    attack = {"name": "tag", "options": {"iterations": iterations, "restarts": 2}}
    runs = prepared(attacks=[attack]).runs
    estimate = Costs({("mlm", "mlm"): 10_800_000}).estimate(runs)
    assert estimate.seconds == pytest.approx(len(runs) * 0.15 * iterations * 2)


def test_a_defended_update_costs_what_its_costliest_defence_makes_of_it(
    prepared: Callable[..., PreparedGrid],
) -> None:
    costs = Costs({("mlm", "mlm"): 10_800_000})
    defences = [[], ["clip:norm=1", "prune:ratio=0.5"], ["clip:norm=1"]]
    clean, pruned, clipped = (
        costs.of(prepared(attacks=["subspace"], defences=[d]).runs[0])[0] for d in defences
    )
    assert clean is not None
    assert pruned is not None
    assert pruned > 2 * clean
    assert clipped == clean


def test_what_runs_take_corrects_the_costs_of_those_like_them(
    prepared: Callable[..., PreparedGrid],
) -> None:
    runs = prepared(attacks=["dlg", "subspace"], defences=[[], ["gaussian:std=0.01"]]).runs
    costs = Costs({("mlm", "mlm"): 10_800_000})
    before = {run.key: costs.of(run)[0] or 0.0 for run in runs}
    done_one = next(r for r in runs if (r.cell.attack, r.cell.defence) == ("subspace", "none"))
    costs.add(done(done_one, 5 * before[done_one.key]))
    for run in runs:  # the machine is five times as slow as the one of the records
        assert costs.of(run)[0] == pytest.approx(5 * before[run.key])
    noisy = next(r for r in runs if r.cell.attack == "subspace" and r.cell.defence != "none")
    costs.add(done(noisy, before[noisy.key]))
    assert costs.of(noisy) == (pytest.approx(before[noisy.key]), True)
    assert costs.of(done_one) == (pytest.approx(5 * before[done_one.key]), True)


def test_a_run_that_takes_longer_than_it_should_takes_nothing_off_the_others(
    progress: GridProgress,
) -> None:
    clock = progress.clock
    assert isinstance(clock, Clock)
    for run in progress.runs[:2]:
        progress.begin(run)
        progress.end(done(run, 10.0))
    progress.begin(progress.runs[2])
    clock.now = 1000.0
    assert progress.left() == "5 s"  # the fourth, by two workers
