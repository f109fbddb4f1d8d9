"""The options that commands share, each declared once. None means: not given."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import typer
import yaml

from textleak.core.bounds import MOST_STEPS, MOST_THREADS
from textleak.core.config import MOST, RunConfig
from textleak.core.errors import ConfigError
from textleak.core.yaml_values import parse_yaml

from .config_file import read_config

TEXT, MODEL, CLIENT, ATTACK, SHOW = "Text", "Model", "Client", "Attack", "Output"


def _option(*names: str, help: str, panel: str, **more: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=panel, show_default=False, **more)


Sentence: TypeAlias = Annotated[
    list[str] | None,
    _option("--sentence", "-s", help="A private sentence; repeat for a batch.", panel=TEXT),
]
File: TypeAlias = Annotated[
    str | None,
    _option(
        "--file", help="Sentences: .txt, one a line, or .jsonl with text and label.", panel=TEXT
    ),
]
BatchSize: TypeAlias = Annotated[
    int | None,
    _option(
        "--batch-size", min=1, help="Consecutive sentences an update; default all.", panel=TEXT
    ),
]
Classes: TypeAlias = Annotated[
    list[int] | None,
    _option("--class", help="A sentence's class; repeat. Drawn if absent.", panel=TEXT),
]
Model: TypeAlias = Annotated[
    str | None,
    _option(
        "--model", "-m", help="minilm, a preset (bert-mini …), a folder, a Hub id.", panel=MODEL
    ),
]
Weights: TypeAlias = Annotated[
    Literal["pretrained", "random"] | None,
    _option("--weights", help="random: BERT's own initialisation.", panel=MODEL),
]
WeightsSeed: TypeAlias = Annotated[
    int | None, _option("--weights-seed", help="Seeds weights that are not loaded.", panel=MODEL)
]
Activation: TypeAlias = Annotated[
    str | None,
    _option("--activation", help="keep, or a smooth one put in everywhere.", panel=MODEL),
]
NumLabels: TypeAlias = Annotated[
    int | None, _option("--num-labels", help="Classes of the classification head.", panel=MODEL)
]
Adapter: TypeAlias = Annotated[
    str | None,
    _option(
        "--adapter", help="Train this alone: lora:rank=8, or an adapter's folder.", panel=MODEL
    ),
]
AdapterSteps: TypeAlias = Annotated[
    int | None,
    _option(
        "--adapter-steps",
        min=0,
        max=MOST_STEPS,
        help="Train it on public text first; default 0.",
        panel=MODEL,
    ),
]
AdapterSeed: TypeAlias = Annotated[
    int | None, _option("--adapter-seed", help="Seeds the adapter's weights.", panel=MODEL)
]
Task: TypeAlias = Annotated[
    str | None,
    _option("--task", help="What the client trains; see textleak list tasks.", panel=MODEL),
]
Pair: TypeAlias = Annotated[
    bool | None,
    _option("--pair", help="Texts are two segments: a tab between, or text_pair.", panel=TEXT),
]
Packed: TypeAlias = Annotated[
    bool | None,
    _option("--packed", help="Texts run on in rows of --max-length tokens.", panel=TEXT),
]
SpecialTokens: TypeAlias = Annotated[
    bool | None,
    _option("--special-tokens/--no-special-tokens", help="A frame stands around.", panel=TEXT),
]
MaxLength: TypeAlias = Annotated[
    int | None, _option("--max-length", min=1, help="Tokens to cut a text to.", panel=TEXT)
]
LossReduction: TypeAlias = Annotated[
    Literal["mean", "sum"] | None,
    _option("--loss-reduction", help="Over what bears loss; default mean.", panel=CLIENT),
]
LabelSmoothing: TypeAlias = Annotated[
    float | None,
    _option("--label-smoothing", help="Spread so much of each target over all.", panel=CLIENT),
]
ClassWeights: TypeAlias = Annotated[
    str | None,
    _option("--class-weights", help="Of each class in the loss, as 1,2.5,1.", panel=CLIENT),
]
Device: TypeAlias = Annotated[str | None, _option("--device", help="cpu, cuda …", panel=MODEL)]
Threads: TypeAlias = Annotated[
    int | None,
    _option(
        "--threads",
        min=1,
        max=MOST_THREADS,
        help="Threads for torch; default: the idle cores.",
        panel=MODEL,
    ),
]
Dropout: TypeAlias = Annotated[
    bool | None,
    _option("--dropout/--no-dropout", help="The client trains with dropout on.", panel=CLIENT),
]
MaskRate: TypeAlias = Annotated[
    float | None, _option("--mask-rate", help="Fraction of tokens to predict.", panel=CLIENT)
]
Share: TypeAlias = Annotated[
    list[str] | None,
    _option("--share", help="Pattern of parameters to share; repeat.", panel=CLIENT),
]
Defence: TypeAlias = Annotated[
    list[str] | None,
    _option(
        "--defence", "--defense", help="As gaussian:std=1e-3; repeat for several.", panel=CLIENT
    ),
]
Protocol: TypeAlias = Annotated[
    str | None,
    _option(
        "--protocol", help="As lr=1e-3,steps=4,minibatch=2,clip=1,precision=bf16.", panel=CLIENT
    ),
]
AttackName: TypeAlias = Annotated[
    str | None, _option("--attack", "-a", help="See textleak list attacks.", panel=ATTACK)
]
Labels: TypeAlias = Annotated[
    Literal["joint", "analytic", "known"] | None,
    _option("--labels", help="How labels are found; known grants them and masks.", panel=ATTACK),
]
Settings: TypeAlias = Annotated[
    list[str] | None,
    _option("--set", help="Any other attack option, as key=value; repeat.", panel=ATTACK),
]
TimeLimit: TypeAlias = Annotated[
    float | None,
    _option("--time-limit", help="Seconds for an update's attack; then its best.", panel=ATTACK),
]
MaxEvaluations: TypeAlias = Annotated[
    int | None,
    _option("--max-evaluations", min=1, help="Candidate gradients, likewise.", panel=ATTACK),
]
Seed: TypeAlias = Annotated[
    int | None, _option("--seed", help="Seeds the attack; default 0.", panel=ATTACK)
]
CLIENT_SEED = "Seeds masks, drawn classes, dropout, noise. Else the operating system's."
ClientSeed: TypeAlias = Annotated[
    int | None, _option("--client-seed", help=CLIENT_SEED, panel=CLIENT)
]
OnlyClientSeed: TypeAlias = Annotated[
    int | None, _option("--client-seed", "--seed", help=CLIENT_SEED, panel=CLIENT)
]
Config: TypeAlias = Annotated[
    str | None,
    _option("--config", "-c", help="A YAML file or a packaged preset.", panel=ATTACK),
]
Determined: TypeAlias = Annotated[
    bool | None,
    _option(
        "--determined/--no-determined",
        help="Whether to say what each update determines, found or not; default yes.",
        panel=SHOW,
    ),
]
Every: TypeAlias = Annotated[
    int | None,
    _option("--every", min=1, help="Iterations between lines and history rows.", panel=SHOW),
]
Quiet: TypeAlias = Annotated[
    bool, _option("--quiet", "-q", help="No progress, only the end report.", panel=SHOW)
]
Json: TypeAlias = Annotated[
    str | None,
    _option("--json", help="Write the result as JSON; - is standard output.", panel=SHOW),
]
Save: TypeAlias = Annotated[
    Path | None, _option("--save", help="Keep the run in a new folder.", panel=SHOW)
]
Debug: TypeAlias = Annotated[
    bool, _option("--debug", help="A full traceback for errors.", panel=SHOW)
]


def resolve(name: str | None, given: dict[str, Any], settings: list[str] | None) -> RunConfig:
    """The run's configuration: what is `given` on the command line over the YAML called `name`.

    Raises:
        ConfigError: a key or value that is not valid, wherever it stands.
    """
    base = read_config(name) if name else {}
    over = {key: value for key, value in given.items() if value is not None and value != []}
    if "class_weights" in over:
        over["class_weights"] = _numbers("--class-weights", over["class_weights"])
    return RunConfig(**base).merged({**over, "options": parse_settings(settings or [])})


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"{option} expects numbers as 1,2.5, got {text[:MOST]!r}") from error


def parse_protocol(text: str | None) -> dict[str, Any] | None:
    """A protocol given as `key=value,key=value`; None where there is none."""
    return None if text is None else parse_settings(text.split(","), "--protocol")


def parse_settings(settings: list[str], option: str = "--set") -> dict[str, Any]:
    """Options given as `key=value`, the value read as YAML.

    >>> parse_settings(["restarts=4", "distance=cosine"])
    {'restarts': 4, 'distance': 'cosine'}
    """
    parsed = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"{option} expects key=value, got {setting[:MOST]!r}")
        try:
            parsed[key.strip()] = parse_yaml(value)[0]
        except yaml.YAMLError as error:
            what = getattr(error, "problem", None) or "not text"
            raise ConfigError(f"{option} {key}: cannot read {value[:MOST]!r}: {what}") from error
    return parsed
