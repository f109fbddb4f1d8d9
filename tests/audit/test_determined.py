"""What an update determines, beside what was found: in results, records, commands and reports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_attack import FakeAttack, FakeOptions

from textleak.audit import Audit, PrivateText, audit_client, audit_update
from textleak.audit.record import sequence_record
from textleak.client import Client, ClientOptions
from textleak.core.threat_model import ThreatModel
from textleak.defences import Defences
from textleak.models import TextModel

TEXTS = ["the cat sat on the mat .", "a dog ran !"]


def run(model: TextModel, *specs: str, wrong: int = 0, **options: bool) -> Audit:
    return audit_client(
        model,
        FakeAttack(FakeOptions(wrong=wrong)),
        [PrivateText(TEXTS)],
        options=ClientOptions(seed=0, dropout=options.pop("dropout", False)),
        threat_model=ThreatModel(),
        defences=Defences.parse(specs),
        **options,
    )


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize(
    ("std", "wrong", "standing"),
    [
        ("1e-5", 0, ["found", "found"]),
        ("1e-5", 1, ["determined, not found"] * 2),
        ("1e3", 1, ["hidden", "hidden"]),
    ],
)
def test_a_sentence_is_found_determined_or_hidden(
    mlm: TextModel, std: str, wrong: int, standing: list[str]
) -> None:
    audit = run(mlm, f"gaussian:std={std}", wrong=wrong)
    records = [sequence_record(sequence) for sequence in audit.sequences]
    assert [record.standing for record in records] == standing
    for record in records:
        assert record.margin is not None
        assert record.determined == (record.margin > 5)
        assert record.reference_ids is not None
        assert len(record.token_margins) == len(record.reference_ids)
        assert record.competitor not in (None, record.reference)
    assert audit.determined_rate == float(standing[0] != "hidden")


@pytest.mark.usefixtures("fake")
def test_it_can_be_left_out_and_says_where_it_does_not_know(mlm: TextModel) -> None:
    audit = run(mlm, determined=False)
    assert audit.determined_rate is None
    assert audit.batches[0].undetermined == ""
    audit = run(mlm, "dropout", dropout=True)
    assert audit.determined_rate is None
    assert "dropout" in audit.batches[0].undetermined


@pytest.mark.usefixtures("fake")
def test_an_update_from_elsewhere_needs_its_labels(mlm: TextModel) -> None:
    client = Client(mlm, ClientOptions(seed=0), ThreatModel(), Defences.parse(["fp16"]))
    update = client.share(client.prepare(TEXTS))
    truth = PrivateText(TEXTS)
    found = audit_update(mlm, FakeAttack(FakeOptions()), update, truth=truth)
    assert found.determined_rate == 1.0
    missed = audit_update(mlm, FakeAttack(FakeOptions(wrong=1)), update, truth=truth)
    assert missed.determined_rate is None
    assert "masked words are not known" in missed.batches[0].undetermined
    assert audit_update(mlm, FakeAttack(FakeOptions()), update).batches[0].undetermined == ""


def test_the_command_says_it(textleak, mlm_folder: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    chosen = ("--model", mlm_folder, "--sentence", TEXTS[1], "--attack", "subspace", "--quiet")
    for more, expected in (((), True), (("--no-determined",), None)):
        out = tmp_path / f"{expected}.json"
        said = textleak("attack", *chosen, *more, "--json", out)
        (sequence,) = json.loads(out.read_text())["sequences"]
        assert sequence["determined"] is expected
        assert ("determined" in said.out + said.err) == bool(expected)
