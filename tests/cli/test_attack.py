"""The commands end to end, with a tiny model and an attack that pretends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from textleak.core.update import SharedUpdate

Textleak = Callable[..., Any]
TEXT = "the cat sat on the mat ."
pytestmark = pytest.mark.usefixtures("fake")


@pytest.fixture
def attack(textleak: Textleak, mlm_folder: str) -> Textleak:
    return lambda *more: textleak("attack", "--attack", "fake", "--model", mlm_folder, *more)


def written(outcome: Any) -> dict[str, Any]:
    return json.loads(outcome.out)


def test_json_on_stdout_is_alone_there_and_keeps_the_contract(attack: Textleak) -> None:
    outcome = attack("--sentence", TEXT, "--json", "-", "--seed", 3)
    assert outcome.code == 0
    data = written(outcome)
    assert data["schema"] == 2
    assert (data["command"], data["attack"], data["task"], data["seed"]) == (
        *("attack", "fake", "mlm"),
        3,
    )
    assert data["sequences"][0]["recovered"] == data["sequences"][0]["reference"]
    assert data["sequences"][0]["reference_ids"] == [5, 7, 9, 11, 5, 12, 22]
    rates = ("token_match", "exact_rate", "rouge1", "rouge2", "rougeL")
    assert [data[rate] for rate in rates] == [1.0] * 5
    assert data["verified"] is True
    assert data["gradient_error"] < 1e-5
    assert data["evaluations"] == 42
    assert data["seconds_per_evaluation"] == pytest.approx(data["seconds"] / 42)
    assert data["threat_model"]["labels"] is False
    assert data["versions"].keys() >= {"python", "torch", "transformers"}
    assert "verified" in outcome.err


def test_json_in_a_file_and_the_report_on_stdout(attack: Textleak, tmp_path: Path) -> None:
    outcome = attack("--sentence", TEXT, "--json", "deep/result.json", "--quiet")
    assert json.loads((tmp_path / "deep/result.json").read_text())["token_match"] == 1.0
    lines = [line.rstrip() for line in outcome.out.split("\n")]
    assert lines[1:3] == [
        "reference  the cat sat on the mat .",
        "recovered  the cat sat on the mat .",
    ]
    assert not [line for line in lines if " s  match " in line]
    assert outcome.err == ""


def test_plain_lines_at_every_nth_iteration(attack: Textleak) -> None:
    outcome = attack("--sentence", TEXT, "--every", 7)
    stages = [line for line in outcome.out.split("\n") if "objective" in line and " s  " in line]
    assert [line.split("  ")[1] for line in stages] == [
        *("match 0/20", "match 7/20", "match 14/20", "match 20/20")
    ]


def test_a_file_in_batches_is_scored_over_all(attack: Textleak, tmp_path: Path) -> None:
    lines = [TEXT, "a dog ran !", "the dog sat on a cat ."]
    (tmp_path / "lines.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in lines))
    data = written(
        attack("--file", "lines.jsonl", "--batch-size", 2, "--set", "wrong=1", "--json", "-")
    )
    assert len(data["sequences"]) == 3
    assert [batch["size"] for batch in data["batches"]] == [2, 1]
    matches = [s["token_match"] for s in data["sequences"]]
    assert data["token_match"] == pytest.approx(sum(matches) / 3)
    assert data["token_match"] < 1.0
    assert data["batches"][0]["history"][0]["iteration"] == 0


def test_what_is_granted_is_recorded(attack: Textleak) -> None:
    data = written(
        attack("--sentence", TEXT, "--labels", "known", "--share", "bert.*", "--json", "-")
    )
    assert data["options"]["labels"] == "known"
    assert data["threat_model"]["labels"] is data["threat_model"]["masked_positions"] is True
    assert data["threat_model"]["shared"] == ["bert.*"]


def test_classification(textleak: Textleak, classifier_folder: str) -> None:
    outcome = textleak(
        *("attack", "-a", "fake", "-m", classifier_folder, "--task", "classification"),
        *("-s", TEXT, "-s", "a dog ran !", "--class", 2, "--class", 1, "--json", "-"),
    )
    data = written(outcome)
    assert [s["label"] for s in data["sequences"]] == [2, 1]
    assert data["label_accuracy"] == 1.0


def test_an_interruption_keeps_what_was_found(attack: Textleak, tmp_path: Path) -> None:
    outcome = attack(
        *("--sentence", TEXT, "--set", "interrupt_at=12", "--json", "r.json", "--save", "run")
    )
    assert outcome.code == 130
    assert "stopped by you: this is what was found so far" in outcome.out
    for path in ("r.json", "run/result.json"):
        data = json.loads((tmp_path / path).read_text())
        assert data["interrupted"] is True
        assert 0.0 <= data["token_match"] < 1.0


def test_a_budget_that_is_spent_is_said_and_the_other_updates_are_attacked(
    attack: Textleak, tmp_path: Path
) -> None:
    (tmp_path / "two.txt").write_text("the cat sat\na dog ran\n")
    given = ("--file", "two.txt", "--batch-size", 1, "--max-evaluations", 6, "--json", "-")
    outcome = attack(*given, "--time-limit", 100)
    assert outcome.code == 0, outcome.err
    data = written(outcome)
    assert data["stopped"] == "budget"
    assert data["interrupted"] is False
    assert [(b["stopped"], b["evaluations"]) for b in data["batches"]] == [("budget", 6)] * 2
    assert "stopped by its budget of 100 s or 6 evaluations" in data["warnings"][0]
    refused = attack("--sentence", TEXT, "--time-limit", 0)
    assert refused.code == 2
    assert "--time-limit: input should be greater than 0" in refused.err


def test_an_interruption_before_anything_was_found(attack: Textleak) -> None:
    outcome = attack("--sentence", TEXT, "--set", "interrupt_at=0", "--json", "-")
    assert outcome.code == 130
    data = written(outcome)
    assert data["interrupted"] is True
    assert data["sequences"] == []
    assert data["token_match"] is data["gradient_error"] is None
    assert data["verified"] is False


def test_an_interruption_while_the_model_loads(
    attack: Textleak, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*anything: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("textleak.audit.setup.open_model", stop)
    outcome = attack("--sentence", TEXT, "--save", "run")
    assert outcome.code == 130
    assert outcome.err == "textleak: interrupted before the attack began\n"
    assert not Path("run").exists()


def test_a_saved_run_can_be_replayed(attack: Textleak, textleak: Textleak, tmp_path: Path) -> None:
    first = attack("--sentence", TEXT, "--save", "run", "--set", "wrong=2")
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        *("config.json", "events.jsonl", "result.json", "update.safetensors")
    }
    again = textleak("replay", "run", "--speed", 0)
    assert again.code == 0
    assert again.out == first.out


def test_capture_and_invert_are_attack_in_two_steps(
    attack: Textleak, textleak: Textleak, mlm_folder: str, tmp_path: Path
) -> None:
    whole = attack("--sentence", TEXT, "--save", "run", "--client-seed", 4)
    assert whole.code == 0
    outcome = textleak(
        "capture", "-s", TEXT, "--model", mlm_folder, "--client-seed", 4, "-o", "sub/u.safetensors"
    )
    assert outcome.code == 0
    assert outcome.out.startswith("sub/u.safetensors: ")
    captured = SharedUpdate.load(tmp_path / "sub/u.safetensors")
    kept = SharedUpdate.load(tmp_path / "run/update.safetensors")
    assert captured.metadata == kept.metadata
    for name, gradient in kept.gradients.items():
        assert torch.equal(captured.gradients[name], gradient)
    outcome = textleak("invert", "sub/u.safetensors", "-m", mlm_folder, "-a", "fake", "--json", "-")
    data = written(outcome)
    assert (data["command"], data["model"]) == ("invert", mlm_folder)
    assert data["sequences"][0]["recovered"] == TEXT
    assert data["sequences"][0]["reference"] is data["token_match"] is None
    assert data["verified"] is True


def test_invert_scores_against_a_reference(
    textleak: Textleak, mlm_folder: str, tmp_path: Path
) -> None:
    textleak("capture", "-s", TEXT, "-s", "a dog", "--model", mlm_folder, "-o", "u.safetensors")
    (tmp_path / "truth.txt").write_text(f"a dog\n{TEXT}\n")
    data = written(
        textleak(
            *(
                "invert",
                "u.safetensors",
                "-m",
                mlm_folder,
                "-a",
                "fake",
                "--reference",
                "truth.txt",
            ),
            *("--json", "-"),
        )
    )
    assert data["token_match"] == data["exact_rate"] == 1.0
    assert data["sequences"][0]["reference"] == "a dog"


def test_invert_scores_classes_and_refuses_another_number_of_sentences(
    textleak: Textleak, classifier_folder: str, tmp_path: Path
) -> None:
    task = ("--task", "classification", "-m", classifier_folder)
    textleak("capture", "-s", TEXT, "--class", 2, *task, "-o", "u.safetensors")
    line = json.dumps({"text": TEXT, "label": 2}) + "\n"
    (tmp_path / "truth.jsonl").write_text(line)
    command = ("invert", "u.safetensors", *task, "-a", "fake", "--reference", "truth.jsonl")
    assert written(textleak(*command, "--json", "-"))["label_accuracy"] == 1.0
    (tmp_path / "truth.jsonl").write_text(line * 2)
    outcome = textleak(*command)
    assert outcome.code == 2
    assert "has 2 sentences, the update's batch 1" in outcome.err


def test_invert_takes_gradients_from_any_training(
    textleak: Textleak, mlm_folder: str, tmp_path: Path
) -> None:
    textleak("capture", "-s", TEXT, "--model", mlm_folder, "-o", "u.safetensors")
    save_file(load_file(tmp_path / "u.safetensors"), tmp_path / "mine.safetensors")
    mine = ("invert", "mine.safetensors", "-a", "fake", "--model", mlm_folder)
    assert "give --task" in textleak(*mine).err
    outcome = textleak(*mine, "--task", "mlm", "--lengths", "9", "--json", "-")
    assert written(outcome)["verified"] is True


@pytest.mark.parametrize(
    ("more", "match"),
    [
        (("--weights", "random"), "was made with other weights"),
        (("--activation", "tanh"), "was made with activation keep, not tanh"),
        (("--task", "classification"), "was made for mlm, not for classification"),
        (("--lengths", "4"), "states the lengths (9,), not (4,)"),
        (("--lengths", "4,x"), "--lengths expects whole numbers"),
        (("--labels", "known"), "grants no labels"),
    ],
)
def test_what_contradicts_the_update_is_refused(
    textleak: Textleak, mlm_folder: str, more: tuple[str, ...], match: str
) -> None:
    textleak("capture", "-s", TEXT, "--model", mlm_folder, "-o", "u.safetensors")
    outcome = textleak(
        *("invert", "u.safetensors", "-m", mlm_folder, "-a", "fake", "--save", "run", *more)
    )
    assert outcome.code == 2
    assert match in outcome.err
    assert not Path("run").exists()


def test_defences_are_applied_in_order_and_recorded(
    textleak: Textleak, classifier_folder: str, tmp_path: Path
) -> None:
    base = ("-s", TEXT, "-m", classifier_folder, "--task", "classification")
    defences = ("--defence", "fp16", "--defence", "dpsgd:noise=0.5", "--defence", "prune:ratio=0.5")
    outcome = textleak("attack", "--attack", "fake", *base, *defences, "--json", "-")
    assert outcome.code == 0
    record = json.loads(outcome.out)
    spec = "dpsgd:clip=1.0,noise=0.5,steps=1000,rate=0.01,delta=1e-05"
    assert record["defences"] == [spec, "fp16", "prune:ratio=0.5,scope=tensor"]
    assert record["privacy"]["epsilon"] > 0
    assert "ε = " in outcome.err
    (tmp_path / "c.yaml").write_text("defences: ['withhold', 'clip:norm=0.1']\n")
    assert textleak("capture", *base, "--config", "c.yaml", "-o", "u.safetensors").code == 0
    again = textleak("invert", "u.safetensors", *base[2:4], "--attack", "fake", "--json", "-")
    assert json.loads(again.out)["defences"] == ["withhold:part=embeddings", "clip:norm=0.1"]
    assert "shared: all parameters but embeddings" in " ".join(again.err.split())
