from collections.abc import Callable

from textleak.report.final import outcome_view, summary_view
from textleak.results.pieces import Pieces
from textleak.results.record import RunRecord

Show = Callable[..., str]
BLANK = dict.fromkeys(
    ("reference", "reference_ids", "token_match", "exact", "rouge1", "rouge2", "rougeL")
)


def test_one_update_with_its_history(show: Show, record: RunRecord, pieces: Pieces) -> None:
    view = outcome_view(record.sequences, record.batches[0], pieces)
    assert show(view, width=70) == (
        "──────────────────────────────────────────────────────────────────────\n"
        "iteration  objective  text\n"
        "match 0          1.5  it it\n"
        "truth                 we welcome tutorials.\n"
        "──────────────────────────────────────────────────────────────────────\n"
        "reference  we welcome tutorials .\n"
        "recovered  we welcome itials    .\n"
        "                      ^^\n"
        "           token match 0.800, ROUGE-1/2/L 0.750 0.500 0.750, not exact"
    )


def test_one_of_several_updates(show: Show, record: RunRecord, pieces: Pieces) -> None:
    sequence = record.sequences[0].model_copy(update={**BLANK, "label": 1, "reference_label": 0})
    view = outcome_view([sequence], record.batches[0], pieces, index=1, count=3)
    assert show(view, width=90) == (
        "update 2 of 3 ────────────────────────────────────────────────────────────────────────────\n"
        "recovered  we welcome it ##ials .\n"
        "           class 1 (truth: 0)\n"
        "           verified: yes, relative gradient error 1.2e-07; 30 evaluations in 1.5 s (0.050\n"
        "           s each)"
    ).replace("it ##ials", "itials")


def test_the_summary(show: Show, record: RunRecord) -> None:
    assert show(summary_view(record), width=72) == (
        "────────────────────────────────────────────────────────────────────────\n"
        "token match  0.800, ROUGE-1/2/L 0.750 0.500 0.750, exact 0 of 1\n"
        "verified     yes, relative gradient error 1.2e-07\n"
        "cost         30 evaluations in 1.5 s (0.050 s each)\n"
        "attack       dlg on minilm (mlm, pretrained weights), seed 3\n"
        "attacker     known: model, task, batch size, lengths; not known: labels,\n"
        "             masked positions; shared: all parameters\n"
        "note         the head is new\n"
        "note         one restart\n"
        "warning      look twice"
    )


def test_the_summary_of_an_interrupted_run(show: Show, record: RunRecord) -> None:
    nothing = record.model_copy(
        update={
            **BLANK,
            "sequences": [],
            "verified": False,
            "gradient_error": None,
            "evaluations": 0,
            "seconds": 0.0,
            "interrupted": True,
            "warnings": [],
        }
    )
    lines = show(summary_view(nothing)).split("\n")
    assert lines[1] == "verified     no"
    assert lines[2] == "cost         0 evaluations in 0.0 s"
    assert lines[-1] == "interrupted  stopped before anything was found"
    partial = record.model_copy(update={"interrupted": True})
    assert show(summary_view(partial)).endswith(
        "interrupted  stopped by you: this is what was found so far"
    )
