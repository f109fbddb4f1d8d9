"""Options are the configuration's fields: every one of them is there, and says what a file would hear."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from pydantic import BaseModel, ConfigDict, Field
from textleak_cli.options import Config, Given, command, of

from textleak.core.config import RunConfig
from textleak.core.image_config import ImageRunConfig
from textleak.core.option import GROUPS, MODEL, SHOW, Option, options_of

Textleak = Callable[..., Any]


@pytest.mark.parametrize("schema", [RunConfig, ImageRunConfig])
def test_every_field_is_an_option_with_a_name_of_its_own(schema: type[BaseModel]) -> None:
    declared = options_of(schema)
    assert declared.keys() == schema.model_fields.keys()
    names = [name for field, option in declared.items() for name in option.named(field)]
    assert len(set(names)) == len(names)
    groups = [GROUPS.index(option.group) for option in declared.values()]
    assert groups == sorted(groups)


class Small(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    layers: Annotated[int, Field(ge=1, le=8), Option("How many.", MODEL, ("-l",))] = 2
    quick: Annotated[bool, Option("No waiting.", SHOW)] = False


HELP = """\
Usage: small [OPTIONS]

  Do little.

Model:
  -l, --layers <int>  How many. [1<=x<=8]

Attack:
  -c, --config <str>  A YAML file or a packaged preset.

Output:
  --quick  No waiting.

Options:
  --help  Show this message and exit.
"""


def test_a_command_is_made_of_a_configuration(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    heard: list[Given] = []

    @command(app, given=of(Small))
    def small(given: Given, config: Config = None) -> None:
        """Do little."""
        heard.append(given)

    made = typer.main.get_command(app)
    made.main(["-l", "3"], standalone_mode=False)
    assert heard[0].values == {"layers": "3"}
    assert heard[0].made(Small) == Small(layers=3)
    made.main(["--help"], prog_name="small", standalone_mode=False)
    assert capsys.readouterr().out == HELP


@pytest.mark.parametrize(
    ("option", "key", "value"),
    [
        ("--mask-rate", "mask_rate", "7"),
        ("--batch-size", "batch_size", "0"),
        ("--weights", "weights", "randm"),
        ("--threads", "threads", "many"),
        ("--class-weights", "class_weights", "0"),
        ("--time-limit", "time_limit", "-1"),
    ],
)
def test_a_file_and_the_command_line_hear_the_same(
    option: str, key: str, value: str, textleak: Textleak, tmp_path: Path
) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(f"sentences: a\n{key}: '{value}'\n".replace(": a", ": [a]"))
    line = textleak("attack", option, value).err
    file = textleak("attack", "--config", path).err
    said = line.removeprefix(f"textleak: {option}")
    assert said.startswith(": input should be")
    assert file.split(f": {key}")[1].removeprefix(".0") == said


def test_what_a_line_may_say_a_file_may_say_too(textleak: Textleak, tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("protocol: lr=0.1,steps=2\nclass_weights: 1,2.5\n")
    config = Given(RunConfig, {}, {}).over(str(path), RunConfig)
    assert config.stated == ("fedavg:steps=2,rate=0.1",)
    assert config.class_weights == (1.0, 2.5)
