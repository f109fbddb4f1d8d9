"""Truth and reconstruction joined: scores, sums, interruptions."""

from __future__ import annotations

import pytest
import torch
from fake_attack import FakeAttack, FakeOptions

from textleak.audit import Audit, PrivateText, Watcher, audit_client, audit_update
from textleak.audit.score import score
from textleak.client import Client, ClientOptions
from textleak.core.errors import DataError
from textleak.core.events import Event, Finished, Started
from textleak.core.reconstruction import Candidate, TextReconstruction
from textleak.core.threat_model import ThreatModel
from textleak.core.verdict import alike
from textleak.models import TextModel, TokenBatch

TEXTS = ["the cat sat on the mat .", "a dog ran !"]


def run(model: TextModel, texts: list[PrivateText], watcher: Watcher, **options: object) -> Audit:
    return audit_client(
        model,
        FakeAttack(FakeOptions(**options)),
        texts,
        options=ClientOptions(seed=0),
        threat_model=ThreatModel(),
        watcher=watcher,
    )


class Notes(Watcher):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.references: list[list[list[int]] | None] = []
        self.events: list[Event] = []
        self.scores: list[int] = []

    def begin(self, index, count, update, references) -> None:  # type: ignore[no-untyped-def]
        self.references.append(references)

    def event(self, event: Event) -> None:
        self.events.append(event)

    def scored(self, result) -> None:  # type: ignore[no-untyped-def]
        self.scores.append(len(result.sequences))


@pytest.mark.usefixtures("fake")
def test_a_full_recovery_is_one_everywhere_and_verified(mlm: TextModel) -> None:
    notes = Notes()
    audit = run(mlm, [PrivateText(TEXTS)], notes)
    assert [audit.mean(name) for name in ("token_match", "exact", "rouge1")] == [1.0, 1.0, 1.0]
    assert audit.verified
    assert audit.gradient_error == pytest.approx(0.0, abs=1e-5)
    assert [s.recovered for s in audit.sequences] == [s.reference for s in audit.sequences]
    assert audit.evaluations == 42
    assert isinstance(notes.events[0], Started)
    assert isinstance(notes.events[-1], Finished)
    assert notes.scores == [2]


@pytest.mark.usefixtures("fake")
def test_batches_are_updates_of_their_own_and_means_are_over_sentences(mlm: TextModel) -> None:
    notes = Notes()
    audit = run(mlm, [PrivateText([text]) for text in TEXTS], notes, wrong=1)
    assert [len(references or []) for references in notes.references] == [1, 1]
    assert [s.scores["token_match"] for s in audit.sequences] == [6 / 7, 3 / 4]
    assert audit.mean("token_match") == pytest.approx((6 / 7 + 3 / 4) / 2)
    assert audit.mean("exact") == 0.0
    assert not audit.verified
    assert audit.gradient_error == max(b.reconstruction.gradient_error for b in audit.batches)
    assert audit.evaluations == 84


@pytest.mark.usefixtures("fake")
def test_an_interruption_keeps_what_was_found(mlm: TextModel) -> None:
    texts = [PrivateText([text]) for text in TEXTS]
    audit = run(mlm, texts, Notes(), interrupt_at=5)
    assert audit.interrupted
    assert len(audit.batches) == 1
    assert audit.batches[0].reconstruction.interrupted
    nothing = run(mlm, texts, Notes(), interrupt_at=0)
    assert nothing.interrupted
    assert nothing.batches == []
    assert nothing.mean("token_match") is nothing.gradient_error is None
    assert not nothing.verified


@pytest.mark.usefixtures("fake")
def test_a_bad_sentence_stops_the_run_before_any_attack(mlm: TextModel) -> None:
    notes = Notes()
    with pytest.raises(DataError, match="empty"):
        run(mlm, [PrivateText(["the cat"]), PrivateText([" "])], notes)
    assert notes.events == []


@pytest.mark.usefixtures("fake")
def test_classes_are_scored_too(classifier: TextModel) -> None:
    audit = run(classifier, [PrivateText(TEXTS, [2, 0])], Notes())
    assert [s.label for s in audit.sequences] == [2, 0]
    assert audit.label_accuracy == 1.0


def test_an_update_alone_is_attacked_without_scores(mlm: TextModel) -> None:
    client = Client(mlm, ClientOptions(seed=0))
    update = client.share(client.prepare(TEXTS))
    attack = FakeAttack(FakeOptions())
    audit = audit_update(mlm, attack, update)
    assert audit.mean("token_match") is None
    assert audit.sequences[0].scores == {}
    assert audit.sequences[0].reference is None
    scored = audit_update(mlm, attack, update, truth=PrivateText(TEXTS))
    assert scored.mean("token_match") == pytest.approx(1 / 14)


def found(mlm: TextModel, texts: list[str]) -> TextReconstruction:
    ids = [mlm.tokenizer(text)["input_ids"] for text in texts]
    nothing = torch.zeros(0)
    return TextReconstruction(
        attack="fake",
        candidate=Candidate(TokenBatch(nothing, nothing, nothing), [], 0.0),
        token_ids=ids,
        texts=texts,
        labels=[],
        evaluations=1,
        seconds=0.1,
        gradient_error=0.0,
        verdict=alike("proven", len(ids), 0.0, ""),
    )


def test_sequences_are_paired_with_their_best_match(mlm: TextModel) -> None:
    references = [mlm.tokenizer(text)["input_ids"] for text in TEXTS]
    result = score(mlm, found(mlm, TEXTS[::-1]), references)
    assert [s.scores["exact"] for s in result.sequences] == [1.0, 1.0]
    assert result.sequences[0].recovered.startswith("the cat")


def test_a_missing_sequence_scores_nothing(mlm: TextModel) -> None:
    references = [mlm.tokenizer(text)["input_ids"] for text in TEXTS]
    result = score(mlm, found(mlm, TEXTS[1:]), references)
    assert [s.scores["token_match"] for s in result.sequences] == [0.0, 1.0]
    assert result.sequences[0].recovered == ""


def test_a_word_that_the_tokenizer_does_not_know_did_not_come_back(mlm: TextModel) -> None:
    texts = ["the zebra sat"]
    references = [mlm.tokenizer(text)["input_ids"] for text in texts]
    assert mlm.tokenizer.unk_token_id in references[0]
    (sentence,) = score(mlm, found(mlm, texts), references).sequences
    assert sentence.scores["token_match"] == pytest.approx(2 / 3)
    assert sentence.scores["exact"] == 0.0
    assert sentence.scores["rouge1"] == pytest.approx(2 * (2 / 2) * (2 / 3) / (2 / 2 + 2 / 3))
    assert sentence.recovered_ids == sentence.reference_ids
