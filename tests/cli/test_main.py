from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from textleak_cli.config_file import preset_names, read_config
from textleak_cli.options import Given

from textleak import __version__
from textleak.core.config import RunConfig

Textleak = Callable[..., Any]
HEAVY = ("torch", "transformers", "scipy", "numpy", "datasets")
PROGRAM = """
import sys
from textleak_cli.main import run
code = run({arguments})
print("heavy:", sorted(set({heavy}) & set(sys.modules)))
sys.exit(code)
"""


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["attack", "--help"], []])
def test_help_needs_no_heavy_import(arguments: list[str]) -> None:
    program = PROGRAM.format(arguments=arguments, heavy=HEAVY)
    environment = {**os.environ, "COLUMNS": "100"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("heavy: []")
    assert done.stderr == ""


def test_help_names_every_command_in_full(textleak: Textleak) -> None:
    outcome = textleak("--help")
    for command in ("attack", "capture", "invert", "replay", "list"):
        assert f"\n  {command} " in outcome.out
    assert "..." not in outcome.out.split("Commands:")[1]


def test_version(textleak: Textleak) -> None:
    assert textleak("--version").out == f"textleak {__version__}\n"


def test_list_names_everything(textleak: Textleak) -> None:
    out = textleak("list").out
    for name in ("dlg-paper", "minilm", "bert-mini", "softplus", "paper-table3", "token_match"):
        assert f"  {name} " in out or f"  {name}\n" in out
    assert textleak("list", "presets").out.startswith("presets:\n")
    assert "npz  " in textleak("list", "readers").out


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_valid_and_names_text(name: str) -> None:
    from textleak.attacks import ATTACKS

    config = Given(RunConfig, {}, {}).over(name, RunConfig)
    assert config.attack in ATTACKS
    assert config.sentences or config.file


def test_the_command_line_goes_over_yaml_goes_over_defaults() -> None:
    base = read_config("dlg-paper")
    assert base["model"] == "bert-mini"
    given = dict(model="bert-tiny", sentences=["a"], options=["restarts=2"])
    config = Given(RunConfig, given, {}).over("dlg-paper", RunConfig)
    assert (config.attack, config.model, config.seed) == ("dlg-paper", "bert-tiny", 0)
    assert config.sentences == ("a",)
    assert config.options == {"restarts": 2}


def test_sentences_given_replace_a_file_of_the_preset() -> None:
    config = RunConfig(file="a.txt", classes=(1,)).merged({"sentences": ["b"]})
    assert (config.file, config.classes, config.sentences) == (None, None, ("b",))


def test_set_values_are_read_as_yaml() -> None:
    settings = ["a=3", "b=1.0e-3", "c=true", "d=cosine", "e=[1, 2]", "f="]
    config = Given(RunConfig, {"options": settings}, {}).over(None, RunConfig)
    assert config.options == {"a": 3, "b": 1e-3, "c": True, "d": "cosine", "e": [1, 2], "f": None}
