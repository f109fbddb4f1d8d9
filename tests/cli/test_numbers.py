"""A number or a value that nothing can be done with is one line and exit code 2, wherever it is given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from textleak_cli.config_file import read_config
from textleak_cli.options import Given

from textleak.attacks import ATTACKS
from textleak.core.config import RunConfig
from textleak.core.errors import ConfigError
from textleak.core.registry import Registry
from textleak.core.yaml_source import YamlSource
from textleak.defences import DEFENCES
from textleak.vision.attacks import IMAGE_ATTACKS

Textleak = Callable[..., Any]
TEXT = "the cat sat on the mat ."
LONG = "9" * 5000
DEEP = "[" * 5000
pytestmark = pytest.mark.usefixtures("fake")


def refused(outcome: Any, match: str) -> None:
    assert outcome.code == 2
    assert match in outcome.err
    assert outcome.err.startswith("textleak: ")
    assert outcome.err.count("\n") == 1
    assert len(outcome.err) < 400


@pytest.mark.parametrize(
    ("more", "match"),
    [
        (("--seed", 2**63), "--seed: input should be less than 9223372036854775808"),
        (("--seed", "-1"), "--seed: input should be greater than or equal to 0"),
        (("--weights-seed", 2**64), "--weights-seed: input should be less than"),
        (("--threads", 10**12), "--threads: input should be less than or equal to 1024"),
        (("--num-labels", 10**8), "--num-labels: input should be less than or equal to 65536"),
        (("--class", 2**70), "--class: expected a whole number of at most 64 bits"),
        (("--device", "meta"), "unknown device 'meta' (known: cpu, cuda, mps, xpu)"),
        (("--device", "hpu"), "unknown device 'hpu'"),
        (("--device", "cpu:x"), "no device 'cpu:x' here"),
        (("--device", "xpu:77"), "no device 'xpu:77' here"),
        (("--set", "delay=!!timestamp x"), "the tag 'timestamp' is not known"),
        (("--set", f"wrong={LONG}"), "expected int of at most 400 characters"),
        (("--set", f"wrong={2**70}"), "expected a whole number of at most 64 bits"),
        (("--set", f"wrong={DEEP}"), "nested deeper than 20 levels"),
        (("--set", "delay=.inf"), "expected a finite number"),
        (("--set", "delay=nan"), "delay: expected a finite number, got nan"),
        (("--set", "wrong=&a [*a]"), "'a' holds itself"),
        (("--mask-rate", "nan"), "--mask-rate: input should be"),
        (("--defence", "gaussian:std=!!timestamp x"), "option of gaussian: std: input should be"),
        (("--defence", f"gaussian:std={LONG}"), "option of gaussian: std: input should be a fin"),
        (("--defence", f"gaussian:std={DEEP}"), "option of gaussian: std: input should be a val"),
        (("--defence", f"fedavg:steps={2**70}"), "option of fedavg: steps: "),
        (("--defence", "prune:ratio=nan"), "option of prune: ratio: input should be less than 1"),
        (("--defence", "dpsgd:noise=1e300"), "what the client would share is not finite"),
        (("--defence", "gaussian:std=1e300"), "what the client would share is not finite"),
        (("--defence", "fedavg:rate=1e300"), "what the client would share is not finite"),
    ],
)
def test_options(textleak: Textleak, mlm_folder: str, more: tuple[Any, ...], match: str) -> None:
    given = ("attack", "-a", "fake", "-m", mlm_folder, "-s", TEXT, "--json", "-")
    refused(textleak(*given, *more), match)


def test_a_noise_too_weak_for_any_epsilon_promises_none(
    textleak: Textleak, mlm_folder: str
) -> None:
    given = ("attack", "-a", "fake", "-m", mlm_folder, "-s", TEXT, "--quiet")
    outcome = textleak(*given, "--defence", "dpsgd:noise=1e-300")
    assert outcome.code == 0
    assert "no ε: no noise to speak of" in outcome.out


def test_a_picture_of_a_thousand_megapixels(textleak: Textleak, tmp_path: Path) -> None:
    refused(textleak("vision", "attack", "--image", "x.png", "--size", 100_000), "size: input sho")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("seed: !!timestamp x", ":1: not valid YAML: the tag 'timestamp' is not known"),
        (f"model: minilm\nseed: {LONG}", ":2: not valid YAML: expected int of at most 400 char"),
        (f"options: {DEEP}", ":1: not valid YAML: nested deeper than 20 levels"),
        ("options:\n  a: &b {c: *b}", ":2: not valid YAML: 'b' holds itself"),
        ("mask_rate: .nan", ":1: not valid YAML: expected a finite number"),
        ("options:\n  a: [1, 1e999]", ":2: not valid YAML: expected a finite number"),
        ("? [a]\n: b", ":1: not valid YAML: found unhashable key"),
        ("seed: 1\n\x00", "not valid YAML"),
    ],
)
def test_yaml(textleak: Textleak, tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    for command in (("attack", "-s", TEXT, "--config"), ("audit",)):
        refused(textleak(*command, "bad.yaml"), match)


MARKS = [*"[]{}:,&*!?|>-#'\"%@\n \t09.~", "a: ", "seed: ", "- ", "&a ", "*a", "\ufeff", "\ud800"]
YAML = st.lists(st.sampled_from(MARKS), max_size=12).map("".join)
scalars = st.one_of(
    st.integers(),
    st.floats(),
    st.text(max_size=4),
    st.sampled_from(["!!int x", "~", "yes", ".inf"]),
)
KEYS = st.sampled_from(["seed", "model", "options", "sentences", "labels", "threads", "share", "x"])


@settings(max_examples=150, deadline=None)
@given(YAML | st.dictionaries(KEYS, scalars).map(str))
def test_any_yaml_is_read_or_refused(text: str) -> None:
    said, data = "", {}
    try:
        data = YamlSource.parse(text, "x.yaml").data
    except ConfigError as error:
        said = str(error)
    assert isinstance(data, dict)
    assert "\n" not in said


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.dictionaries(KEYS, scalars))
def test_any_configuration_is_read_or_refused(tmp_path: Path, data: dict[str, Any]) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("\n".join(f"{key}: {value}" for key, value in data.items()), "utf-8")
    said = str(path)
    try:
        read_config(str(path))
    except ConfigError as error:
        said = str(error)
    assert said.startswith((str(path), "cannot read"))
    assert "\n" not in said


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=8), YAML | scalars.map(str))
def test_any_setting_is_read_or_refused(key: str, value: str) -> None:
    given = Given(RunConfig, {"options": [f"{key}={value}"]}, {"options": "--set"})
    said = "--set"
    try:
        assert len(given.over(None, RunConfig).options) == 1
    except ConfigError as error:
        said = str(error)
    assert said.startswith("--set")


@pytest.mark.parametrize("name", ["restarts", "history"])
def test_counts_have_a_bound(textleak: Textleak, mlm_folder: str, name: str) -> None:
    given = ("attack", "-a", "dlg", "-m", mlm_folder, "-s", TEXT, "--quiet")
    outcome = textleak(*given, "--set", f"{name}={2**63 - 1}")
    refused(outcome, f"option of dlg: {name}: input should be less than or equal to 1000000")


def _open_ended(schema: Any, where: str) -> list[str]:
    """The whole numbers of a JSON schema that have no upper bound."""
    if isinstance(schema, list):
        return [found for part in schema for found in _open_ended(part, where)]
    if not isinstance(schema, dict):
        return []
    own = (
        [where]
        if schema.get("type") == "integer" and not {"maximum", "exclusiveMaximum"} & {*schema}
        else []
    )
    return own + [f for key, part in schema.items() for f in _open_ended(part, f"{where}.{key}")]


@pytest.mark.parametrize("registry", [ATTACKS, IMAGE_ATTACKS, DEFENCES], ids=lambda r: r.kind)
def test_every_whole_number_has_an_upper_bound(registry: Registry[Any]) -> None:
    for name in set(registry) - {"fake"}:
        schema = registry.load(name).options_class.model_json_schema()
        assert not _open_ended(schema, name)


def test_more_than_any_memory(textleak: Textleak, classifier_folder: str) -> None:
    """100 restarts with the products of a million pairs each: 800 TB."""
    given = ("attack", "-a", "dlg", "-m", classifier_folder, "-s", TEXT, "--quiet")
    more = ("--task", "classification", "--set", "restarts=100", "--set", "history=1000000")
    refused(textleak(*given, *more), "this needs more memory than there is")
