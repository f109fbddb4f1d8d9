"""Whatever stands on the command line: a result, or one line and exit code 2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

Textleak = Callable[..., Any]
pytestmark = pytest.mark.usefixtures("fake")

NUMBERS = ["0", "-1", "1", "2", "1e-300", "1e300", "nan", "inf", "9" * 30, "9" * 5000, "1.5", "0x1"]
WORDS = [
    "",
    " ",
    "*",
    "[",
    "]",
    "~",
    "a,b",
    "é",
    "\u2028",
    "\udcff",
    "-",
    "--",
    "x" * 300,
    "%s",
    "{}",
]
VALUES = st.sampled_from(NUMBERS + WORDS) | st.text(max_size=3)
RUN = {
    "--seed": VALUES,
    "--threads": VALUES.filter(lambda text: text != "2"),
    "--weights-seed": VALUES,
    "--num-labels": VALUES.filter(lambda text: text != "9" * 30),
    "--class": VALUES,
    "--batch-size": VALUES,
    "--mask-rate": VALUES,
    "--every": VALUES,
    "--device": VALUES | st.sampled_from(["meta", "hpu", "cpu:9", "cuda:99"]),
    "--activation": VALUES | st.sampled_from(["tanh"]),
    "--weights": VALUES | st.sampled_from(["random"]),
    "--task": VALUES | st.sampled_from(["mlm", "classification"]),
    "--labels": VALUES | st.sampled_from(["known", "joint"]),
    "--share": VALUES | st.sampled_from(["*bias", "cls*", "bert.[a-z]*"]),
    "--set": st.tuples(st.sampled_from(["wrong=", "iterations=", "x=", ""]), VALUES).map("".join),
    "--defence": st.tuples(
        st.sampled_from(
            [
                "clip:norm=",
                "gaussian:std=",
                "prune:ratio=",
                "topk:ratio=",
                "fedavg:rate=",
                "withhold:",
            ]
            + ["withhold:last=", "withhold:pattern=", "dropout:rate=", "fp16", "int8", "dpsgd:", ""]
        ),
        VALUES,
    ).map("".join),
    "--sentence": VALUES | st.sampled_from(["the cat sat", "[MASK]", "[SEP] [PAD]", "cat " * 40]),
    "--config": VALUES,
    "--attack": VALUES | st.sampled_from(["fake"]),
}
OPTIONS = st.sampled_from(sorted(RUN)).flatmap(lambda name: st.tuples(st.just(name), RUN[name]))
FEW = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def one_line_at_most(outcome: Any) -> None:
    assert outcome.code in (0, 2), outcome
    assert outcome.err.count("\n") == (1 if outcome.code else 0), outcome.err
    assert "Traceback" not in outcome.err
    assert len(outcome.err) < 5000


@FEW
@given(st.lists(OPTIONS, max_size=3))
def test_attack(textleak: Textleak, mlm_folder: str, options: list[tuple[str, str]]) -> None:
    more = [f"{name}={value}" for name, value in options]
    given = ("attack", "-m", mlm_folder, "-a", "fake", "-s", "the cat sat .", "--quiet")
    one_line_at_most(textleak(*given, *more))


@FEW
@given(st.lists(OPTIONS, max_size=2))
def test_capture(textleak: Textleak, mlm_folder: str, options: list[tuple[str, str]]) -> None:
    more = [f"{name}={value}" for name, value in options]
    given = ("capture", "-m", mlm_folder, "-s", "the cat sat .", "-o", "u.safetensors")
    one_line_at_most(textleak(*given, *more))


@FEW
@given(st.lists(st.sampled_from([*NUMBERS, *WORDS, "list", "replay", "report", "invert", "audit"])))
@example(["list", "attacks", "x"])
@example(["replay", "."])
@example(["report", "."])
@example(["invert", "."])
@example(["audit", "."])
def test_any_words(textleak: Textleak, tmp_path: Path, words: list[str]) -> None:
    one_line_at_most(textleak(*words))
