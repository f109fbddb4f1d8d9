"""What a file that somebody sent can do: choose no model, run no code, cost no more than its size."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

Textleak = Callable[..., Any]
TEXT = "the cat sat on the mat ."
pytestmark = pytest.mark.usefixtures("fake")


@pytest.fixture
def forged(textleak: Textleak, mlm_folder: str, tmp_path: Path) -> Callable[..., Path]:
    """An update whose header says something else in the place of what it said."""
    path = tmp_path / "u.safetensors"
    assert textleak("capture", "-s", TEXT, "-m", mlm_folder, "-o", path).code == 0

    def forge(**said: Any) -> Path:
        with safe_open(path, framework="pt") as file:
            header = json.loads(file.metadata()["textleak"])
        model = said.pop("name", header["model"]["name"])
        header = {**header, **said, "model": {**header["model"], "name": model}}
        save_file(load_file(path), tmp_path / "forged", metadata={"textleak": json.dumps(header)})
        return tmp_path / "forged"

    return forge


def refused(outcome: Any, *said: str) -> None:
    assert outcome.code == 2
    assert outcome.err.startswith("textleak: ")
    assert outcome.err.count("\n") == 1
    assert len(outcome.err) < 5000
    for part in said:
        assert part in outcome.err
    assert outcome.err[:-1].isprintable()


@pytest.mark.parametrize("name", [None, "somebody/model", "/etc", "x" * 100_000, "a\x1b[2J\u202e"])
def test_a_header_chooses_no_model(
    textleak: Textleak, forged: Callable[..., Path], mlm_folder: str, name: str | None
) -> None:
    path = forged(name=name or mlm_folder)
    refused(textleak("invert", path, "-a", "fake"), "the update names the model", "give --model")
    assert textleak("invert", path, "-a", "fake", "-m", mlm_folder).code == 0


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (dict(local=dict(steps=10**9)), "local.steps"),
        (dict(defences=["fedavg:steps=1000000000"]), "less than or equal to 1000"),
        (dict(defences=["topk:ratio=0.1,earlier=1000000000"]), "less than or equal to 1000"),
        (dict(defences=["fp16"] * 200_000), "defences: expected at most 32, got"),
        (dict(threat_model=dict(shared=["*"] * 200_000)), "expected at most 1024, got"),
        (dict(nonsense="\x1b]0;title\x07" * 1000), "unknown key"),
    ],
)
def test_a_small_header_costs_little(
    textleak: Textleak, forged: Callable[..., Path], mlm_folder: str, said: Any, why: str
) -> None:
    refused(textleak("invert", forged(**said), "-a", "fake", "-m", mlm_folder), why)


@pytest.mark.parametrize("spec", ["fedavg:steps=1000000000", "topk:earlier=1000000000"])
def test_a_defence_without_end_is_refused(textleak: Textleak, mlm_folder: str, spec: str) -> None:
    refused(textleak("attack", "-s", TEXT, "-m", mlm_folder, "--defence", spec), "1000")


BOMB = "".join(f"  a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"options:\n  a0: &a0 [x, x]\n{BOMB}", "more than 50000 values"),
        ("sentences: [" + "x, " * 4_000_000 + "]", "expected at most 250000 characters"),
        ("sentences: [" + "x, " * 60_000 + "]", "more than 50000 values"),
        ("share: [" + "x, " * 20_000 + "]", "share: expected at most 1024, got 20000"),
    ],
)
def test_a_configuration_costs_no_more_than_its_size(
    textleak: Textleak, tmp_path: Path, text: str, why: str
) -> None:
    (tmp_path / "c.yaml").write_text(text)
    refused(textleak("attack", "-s", TEXT, "-c", "c.yaml"), "c.yaml", why)


def test_a_grid_of_too_many_runs_is_refused(
    textleak: Textleak, mlm_folder: str, tmp_path: Path
) -> None:
    seeds = list(range(1000))
    grid = dict(texts=[TEXT] * 200, models=[mlm_folder], attacks=["fake"], seeds=seeds)
    (tmp_path / "g.yaml").write_text(json.dumps(grid))
    refused(textleak("audit", "g.yaml"), "expected a grid of at most 100000 runs, got 200000")


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_a_folder_with_code_is_refused_and_its_code_not_run(
    textleak: Textleak,
    mlm_folder: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    file: str,
) -> None:
    def asked(*_: object) -> str:
        pytest.fail("somebody was asked whether to run code")

    monkeypatch.setattr("builtins.input", asked)
    folder = tmp_path / "model"
    shutil.copytree(mlm_folder, folder)
    facts = json.loads((folder / file).read_text())
    names = {
        "AutoConfig": "own.Own",
        "AutoModelForMaskedLM": "own.Own",
        "AutoTokenizer": ["own.Own"],
    }
    if file == "config.json":
        facts["model_type"] = "own"
    (folder / file).write_text(json.dumps({**facts, "auto_map": names}))
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    outcome = textleak("attack", "-s", TEXT, "-m", folder, "-a", "fake")
    refused(outcome, "wants to run Python code of its own")
    assert not (tmp_path / "ran").exists()


def test_one_place_loads_from_disk_or_the_hub() -> None:
    import textleak

    root = Path(textleak.__file__).parent
    places = [p.name for p in root.rglob("*.py") if ".from_pretrained(" in p.read_text()]
    assert places == ["fetching.py"]
    assert "trust_remote_code=False" in (root / "models" / "fetching.py").read_text()


def test_a_tensors_name_is_escaped_and_cut(
    textleak: Textleak, mlm_folder: str, tmp_path: Path
) -> None:
    save_file({"a\x1b[2J" + "b" * 100_000: torch.zeros(2)}, tmp_path / "odd")
    outcome = textleak("invert", "odd", "-m", mlm_folder, "-a", "fake", "--task", "mlm")
    refused(outcome, "is no parameter of the model")
