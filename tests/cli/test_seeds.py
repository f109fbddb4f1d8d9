"""Whose chance a seed is: the attack's by `--seed`, the client's by `--client-seed` alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from textleak.core.update import SharedUpdate

NOISY = ("--defence", "dpsgd:clip=1,noise=1")
SAID = "protect nothing"


@pytest.fixture
def captured(
    textleak: Callable[..., object], classifier_folder: str, tmp_path: Path
) -> Callable[..., tuple[SharedUpdate, str]]:
    def capture(*more: object) -> tuple[SharedUpdate, str]:
        task = ("--model", classifier_folder, "--task", "classification", "--class", 1)
        outcome = textleak("capture", "-s", "the cat sat", *task, *NOISY, "-o", "u.st", *more)
        assert outcome.code == 0  # type: ignore[attr-defined]
        return SharedUpdate.load(tmp_path / "u.st"), outcome.out  # type: ignore[attr-defined]

    return capture


def test_a_captured_update_cannot_be_captured_again_unless_its_client_is_seeded(
    captured: Callable[..., tuple[SharedUpdate, str]],
) -> None:
    (one, said), (other, _) = captured(), captured()
    name = next(iter(one.gradients))
    assert not torch.equal(one.gradients[name], other.gradients[name])
    assert not one.metadata.client_seeded
    assert "ε = " in said
    assert SAID not in said
    for option in ("--client-seed", "--seed"):
        (one, said), (other, _) = captured(option, 0), captured(option, 0)
        assert torch.equal(one.gradients[name], other.gradients[name])
        assert one.metadata.client_seeded
        assert "no ε: its noise is from a known seed" in said
        assert SAID in said
    header = one.metadata.model_dump_json()
    assert '"client_seed"' not in header  # that there is one is told, which one is not


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("seeded", [False, True])
def test_result_and_screen_say_whether_the_client_is_seeded(
    seeded: bool, textleak: Callable[..., object], mlm_folder: str, tmp_path: Path
) -> None:
    base = ("--model", mlm_folder, "-s", "the cat sat on the mat .", "-a", "fake", "--seed", 5)
    own = ("--client-seed", 6) if seeded else ()
    outcome = textleak("attack", *base, *NOISY, *own, "--json", "r.json", "--save", "run")
    assert outcome.code == 0  # type: ignore[attr-defined]
    data = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert (data["seed"], data["client_seed"], data["client_seeded"]) == (
        5,
        6 if seeded else None,
        seeded,
    )
    assert (data["privacy"]["epsilon"] is None) == data["privacy"]["known_seed"] == seeded
    screen = " ".join(outcome.out.split())  # type: ignore[attr-defined]
    assert ("draws from seed 6: masks" in screen) == seeded
    assert (SAID in screen) == seeded
    again = textleak("replay", "run", "--speed", 0)
    assert again.out == outcome.out  # type: ignore[attr-defined]
    received = textleak(
        *("invert", "run/update.safetensors", "-m", mlm_folder, "-a", "fake", "--json", "-")
    )
    data = json.loads(received.out)  # type: ignore[attr-defined]
    assert (data["client_seeded"], data["client_seed"]) == (seeded, None)
