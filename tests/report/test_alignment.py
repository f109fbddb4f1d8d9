from collections.abc import Callable

import pytest

from textleak.report.alignment import Alignment

Show = Callable[..., str]
TRUTH = ["we", "welcome", "tutor", "##ials", "."]
FOUND = ["we", "it", "tutor", "##s", "."]


def test_words_stand_under_their_references_with_marks_under_wrong_pieces(show: Show) -> None:
    assert show(Alignment(FOUND, TRUTH)) == (
        "reference  we welcome tutorials .\n"
        "recovered  we it      tutors    .\n"
        "              ^^           ^"
    )


def test_right_is_green_and_wrong_is_red_where_there_is_colour(show: Show) -> None:
    lines = show(Alignment(FOUND, TRUTH), colour=True).split("\n")
    assert len(lines) == 2
    assert lines[1] == (
        "\x1b[2mrecovered  \x1b[0m\x1b[32mwe\x1b[0m \x1b[1;31mit\x1b[0m      "
        "\x1b[32mtutor\x1b[0m\x1b[1;31ms\x1b[0m    \x1b[32m.\x1b[0m"
    )


def test_without_truth_nothing_is_coloured(show: Show) -> None:
    assert show(Alignment(FOUND)) == "recovered  we it tutors ."
    assert "32m" not in show(Alignment(FOUND), colour=True)


def test_long_sentences_wrap_together(show: Show) -> None:
    assert show(Alignment(TRUTH, TRUTH), width=24) == (
        "reference  we welcome\n"
        "recovered  we welcome\n"
        "reference  tutorials .\n"
        "recovered  tutorials ."
    )


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (["we"], "recovered  we ·"),
        (["we", "it", "and", "more"], "recovered  we it and more"),
        (["##s", "it"], "recovered  ##s it"),
    ],
)
def test_too_few_and_too_many_pieces_show(show: Show, found: list[str], line: str) -> None:
    shown = show(Alignment(found, ["we", "it"])).split("\n")
    assert shown[1] == line


def test_a_piece_that_looks_like_markup_is_shown_as_it_is(show: Show) -> None:
    assert show(Alignment(["[bold]", "[MASK]", "[/x]"])) == "recovered  [bold] [MASK] [/x]"


def test_an_empty_recovery_is_no_error(show: Show) -> None:
    assert show(Alignment([], ["we"])).split("\n")[1] == "recovered  ·"
    assert show(Alignment([])) == "recovered"
