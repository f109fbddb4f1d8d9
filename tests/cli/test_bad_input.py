"""Whatever a user gets wrong is one clear line on stderr, exit code 2, and nothing half-written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

Textleak = Callable[..., Any]
TEXT = "the cat sat on the mat ."
pytestmark = pytest.mark.usefixtures("fake")


def refused(outcome: Any, match: str, folder: Path, before: int = 0) -> None:
    assert outcome.code == 2
    assert match in outcome.err
    assert outcome.err.startswith("textleak: ")
    assert outcome.err.count("\n") == 1
    assert outcome.out == ""
    assert len(list(folder.iterdir())) == before


ATTACK = ("attack", "--attack", "fake", "--json", "r.json", "--save", "run")


@pytest.mark.parametrize(
    ("more", "match"),
    [
        ((), 'no private text: give --sentence "…" or --file FILE'),
        (("-s", ""), "sentence 1 is empty"),
        (("-s", TEXT, "-s", "  "), "sentence 2 is empty"),
        (("-s", "cat " * 40), "sentence 1 has 42 tokens, the model takes at most 24"),
        (("--file", "none.txt"), "cannot read sentences from 'none.txt'"),
        (("-s", TEXT, "--file", "x.txt"), "not both"),
        (("-s", TEXT, "--attack", "fkae"), "unknown attack 'fkae'; did you mean 'fake'?"),
        (("-s", TEXT, "--model", "minlm"), "unknown model 'minlm'; did you mean 'minilm'?"),
        (("-s", TEXT, "--model", "./none"), "no model folder at './none'"),
        (("-s", TEXT, "--activation", "tnah"), "unknown activation 'tnah'; did you mean 'tanh'"),
        (("-s", TEXT, "--set", "wrnog=1"), "unknown option of fake 'wrnog'; did you mean 'wrong'"),
        (("-s", TEXT, "--set", "wrong=many"), "option of fake: wrong: input should be a valid int"),
        (("-s", TEXT, "--set", "wrong"), "--set: expected key=value, got 'wrong'"),
        (("-s", TEXT, "--defence", "purne"), "unknown defence 'purne'; did you mean 'prune'?"),
        (("-s", TEXT, "--defence", "clip:nrom=1"), "unknown option of clip 'nrom'; did you mean"),
        (("-s", TEXT, "--share", "nix*"), "no parameter of the model matches"),
        (("-s", TEXT, "--device", "abacus"), "unknown device 'abacus' (known: cpu, cuda"),
        (("-s", TEXT, "--mask-rate", "7"), "--mask-rate: input should be less than or equal to 1"),
        (("-s", TEXT, "--labels", "jiont"), "got 'jiont'; did you mean 'joint'?"),
        (("-s", TEXT, "--sed", "1"), "No such option: --sed"),
        (("-s", TEXT, "--seed", "x"), "--seed: input should be a valid integer"),
        (("-s", TEXT, "--config", "quikc"), "unknown configuration 'quikc'; did you mean 'quick'?"),
        (("-s", TEXT, "--task", "classification", "--class", "9"), "labels must lie between"),
        (("-s", TEXT, "--task", "classification", "--class=1", "--class=1"), "expected 1 classes"),
    ],
)
def test_wrong_options(
    textleak: Textleak, mlm_folder: str, tmp_path: Path, more: tuple[str, ...], match: str
) -> None:
    refused(textleak(*ATTACK, "--model", mlm_folder, *more), match, tmp_path)


@pytest.mark.parametrize("option", ["--json", "--save"])
@pytest.mark.parametrize("name", ["file/below", "full"])
def test_what_cannot_be_written_is_refused_before_the_attack(
    textleak: Textleak, tmp_path: Path, option: str, name: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "old").write_text("in the way")
    outcome = textleak("attack", "-s", TEXT, "--model", "never-loaded", option, name)
    assert name in outcome.err
    refused(outcome, "", tmp_path, before=2)


def test_capture_refuses_an_unwritable_output(textleak: Textleak, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    outcome = textleak("capture", "-s", TEXT, "-m", "never-loaded", "-o", "file/u.safetensors")
    refused(outcome, "cannot write 'file/u.safetensors'", tmp_path, before=1)


YAML = {
    "model: minilm\nactivaton: tanh\n": "bad.yaml:2: unknown key 'activaton'; did you mean 'activa",
    "model: minilm\nseed: three\n": "bad.yaml:2: seed: input should be a valid integer",
    "sentences:\n  - a\n  - [b]\n": "bad.yaml:3: sentences.1: input should be a valid string",
    "a: [1,\n": "bad.yaml:2: not valid YAML",
    "- a\n": "bad.yaml:1: expected keys with values, got list",
    "weights: trained\n": "bad.yaml:1: weights: input should be 'pretrained' or 'random'",
    "batch_size: 0\n": "bad.yaml:1: batch_size: input should be greater than or equal to 1",
}


@pytest.mark.parametrize("text", YAML)
def test_wrong_yaml_is_told_with_file_line_and_key(
    textleak: Textleak, tmp_path: Path, text: str
) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    outcome = textleak("attack", "-s", TEXT, "--config", "bad.yaml", "--save", "run")
    refused(outcome, YAML[text], tmp_path, before=1)


def test_a_missing_yaml_file(textleak: Textleak, tmp_path: Path) -> None:
    outcome = textleak("attack", "--config", "none.yaml")
    refused(outcome, "no configuration file at 'none.yaml'", tmp_path)


def broken(kind: str, gradients: dict[str, torch.Tensor], path: Path) -> None:
    name = "bert.embeddings.LayerNorm.bias"
    if kind == "name":
        gradients["bert.embeddings.LayerNorm.bais"] = gradients.pop(name)
    elif kind == "shape":
        gradients[name] = torch.zeros(3)
    elif kind == "nan":
        gradients[name] = torch.full_like(gradients[name], float("nan"))
    save_file(gradients, path)
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:-10])
    elif kind == "text":
        path.write_text("these are not tensors, whatever the name says")


@pytest.mark.parametrize(
    ("kind", "match"),
    [
        ("name", "is no parameter of the model; the nearest is 'bert.embeddings.LayerNorm.bias'"),
        ("shape", "has shape (3,), the model's (16,)"),
        ("nan", "holds NaN or infinite values"),
        ("truncated", "is not a whole safetensors file"),
        ("text", "is not a whole safetensors file"),
    ],
)
def test_updates_that_do_not_fit(
    textleak: Textleak, mlm_folder: str, tmp_path: Path, kind: str, match: str
) -> None:
    textleak("capture", "-s", TEXT, "--model", mlm_folder, "-o", "good.safetensors")
    broken(kind, load_file(tmp_path / "good.safetensors"), tmp_path / "bad.safetensors")
    outcome = textleak(
        *("invert", "bad.safetensors", "-a", "fake", "--model", mlm_folder, "--task", "mlm"),
        *("--lengths", "9", "--json", "r.json", "--save", "run", "--quiet"),
    )
    refused(outcome, match, tmp_path, before=2)


def test_a_missing_update_and_a_missing_run(textleak: Textleak, tmp_path: Path) -> None:
    refused(textleak("invert", "none.safetensors"), "no update at 'none.safetensors'", tmp_path)
    refused(textleak("replay", "none"), "no saved run in 'none'", tmp_path)
    refused(textleak("list", "modles"), "unknown list 'modles'; did you mean 'models'?", tmp_path)
    refused(textleak("atack"), "No such command 'atack'", tmp_path)


def test_debug_gives_the_traceback(textleak: Textleak) -> None:
    from textleak.core.errors import UpdateError

    with pytest.raises(UpdateError):
        textleak("invert", "none.safetensors", "--debug")
