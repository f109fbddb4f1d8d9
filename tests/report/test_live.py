from collections.abc import Callable

import pytest

from textleak.core.events import Event
from textleak.report.live import live_view
from textleak.report.plain import plain_line
from textleak.report.progress import Progress
from textleak.results.header import RunHeader
from textleak.results.pieces import Pieces

Show = Callable[..., str]
TRUTH = [5, 6, 7, 8, 9]
HEAD = """\
attack       dlg on minilm (mlm, pretrained weights)
attacker     known: model, task, batch size, lengths; not
             known: labels, masked positions; shared: all
             parameters
weights      the head is new
────────────────────────────────────────────────────────────
"""


class Clock:
    """Stands still until it is set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def progress(header: RunHeader, pieces: Pieces, clock: Clock) -> Progress:
    return Progress(header, pieces, clock=clock)


def test_before_the_first_iteration(show: Show, progress: Progress, events: list[Event]) -> None:
    progress.begin(0, 1, [TRUTH])
    progress.event(events[0])
    assert show(live_view(progress)) == HEAD + "starting … 0:00"
    assert plain_line(progress) == "starting …"


def test_the_view_with_the_truth(show: Show, progress: Progress, events: list[Event]) -> None:
    progress.begin(0, 1, [TRUTH])
    for event in events[:3]:
        progress.event(event)
    assert show(live_view(progress)) == HEAD + (
        "stage        match ━╸               10/100 0:01, at most\n"
        "                                           0:09 left\n"
        "objective    0.1  █▁  20 evaluations, 20.0 a second\n"
        "labels       tutor\n"
        "tokens       80% right\n"
        "\n"
        "truth  we welcome tutorials .\n"
        "now    we welcome itials    .\n"
        "                  ^^"
    )
    assert plain_line(progress) == (
        "1.0 s  match 10/100  objective 0.1  20 evaluations  80% of tokens right  labels tutor: "
        "we welcome it ##ials ."
    )


def test_the_view_without_the_truth(show: Show, progress: Progress, events: list[Event]) -> None:
    progress.begin(1, 3, None)
    for event in events[:4]:
        progress.event(event)
    assert show(live_view(progress), width=80).endswith(
        "update       2 of 3\n"
        "stage        match ━━━                  15/100 0:01, at most 0:08 left\n"
        "objective    0.001  █▆▁  30 evaluations, 20.0 a second\n"
        "labels       tutor\n"
        "\n"
        "now    we welcome tutorials ."
    )
    assert plain_line(progress).startswith("update 2/3  1.5 s  match 15/100")


def test_elapsed_time_goes_on_between_events_and_the_rest_shrinks(
    progress: Progress, events: list[Event], clock: Clock
) -> None:
    progress.begin(0, 1, None)
    for event in events[:3]:
        progress.event(event)
    assert (progress.seconds, progress.left) == (1.0, pytest.approx(9.0))
    clock.now += 2.5
    assert (progress.seconds, progress.left) == (3.5, pytest.approx(6.5))
    clock.now += 60
    assert progress.left == 0.0
    progress.event(events[4])
    assert progress.seconds == 1.0


def test_a_new_stage_starts_its_own_curve_and_estimate(
    progress: Progress, at: Callable[..., Event]
) -> None:
    progress.begin(0, 1, None)
    progress.event(at(50, [2, 5, 3], 1.0))
    second = at(20, [2, 5, 3], 0.5, stage="discrete")
    progress.event(second.model_copy(update={"seconds": 7.0}))
    assert progress.objectives == [0.5]
    assert progress.left == pytest.approx((7.0 - 5.0) / 20 * 80)


def test_many_sentences_are_cut(show: Show, progress: Progress, events: list[Event]) -> None:
    progress.begin(0, 1, None)
    many = events[3].model_copy(update={"token_ids": [[2, 5, 3]] * 6, "texts": ["we"] * 6})
    progress.event(many)
    lines = show(live_view(progress)).split("\n")
    assert lines.count("now    we") == 4
    assert lines[-1] == "… and 2 more"


def test_unknown_pieces_fall_back_to_the_text(progress: Progress, events: list[Event]) -> None:
    progress.begin(0, 1, None)
    progress.event(
        events[3].model_copy(update={"token_ids": [[2, 99, 98, 3]], "texts": ["so be it"]})
    )
    assert progress.sentences() == [(None, ["so", "be", "it"])]
