from collections.abc import Callable

from textleak.core.events import Iteration
from textleak.report.history import ROWS, history_table, thinned
from textleak.results.history import History

Show = Callable[..., str]
IDS = [2, 5, 3]


def numbers(history: History) -> list[tuple[str, int]]:
    return [(row.stage, row.iteration) for row in history.rows]


def test_every_tenth_is_kept_and_each_stages_last(at: Callable[..., Iteration]) -> None:
    history = History(every=10)
    for number in range(24):
        history.event(at(number, IDS, 1.0))
    for number in range(3):
        history.event(at(number, IDS, 1.0, stage="discrete"))
    assert numbers(history) == [
        ("match", 0),
        ("match", 10),
        ("match", 20),
        ("match", 23),
        ("discrete", 0),
        ("discrete", 2),
    ]


def test_a_last_iteration_that_is_kept_anyway_stands_once(at: Callable[..., Iteration]) -> None:
    history = History(every=10)
    for number in range(11):
        history.event(at(number, IDS, 1.0))
    history.event(at(0, IDS, 1.0, stage="discrete"))
    assert numbers(history) == [("match", 0), ("match", 10), ("discrete", 0)]


def test_an_endless_objective_is_null(at: Callable[..., Iteration]) -> None:
    history = History(every=1)
    history.event(at(0, IDS, float("nan")))
    history.event(at(1, IDS, float("inf")))
    assert [row.objective for row in history.rows] == [None, None]


def test_long_histories_are_thinned_with_their_ends(
    show: Show, at: Callable[..., Iteration]
) -> None:
    history = History(every=1)
    for number in range(100):
        history.event(at(number, IDS, 1.0))
    rows = thinned(history.rows)
    assert (len(rows), rows[0].iteration, rows[-1].iteration) == (ROWS, 0, 99)
    assert len(show(history_table(history.rows)).split("\n")) == ROWS + 1
