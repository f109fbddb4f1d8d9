"""Updates from elsewhere: what is stated is used or contradicted, and no file makes a traceback."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from textleak_cli import files, received

from textleak.core.config import RunConfig
from textleak.core.errors import TextleakError
from textleak.core.update import HEADER_KEY, SharedUpdate
from textleak.models import TextModel

Textleak = Callable[..., Any]
TEXT = "the cat sat on the mat ."  # nine tokens
TWO = ["the cat sat", "a dog ran"]
pytestmark = pytest.mark.usefixtures("fake")


@pytest.fixture
def plain(textleak: Textleak, classifier_folder: str, tmp_path: Path) -> Callable[..., Path]:
    """An update of so many sentences, and of what else `capture` is given, without its header."""

    def make(*more: str, texts: Sequence[str] = (TEXT,)) -> Path:
        given = [part for text in texts for part in ("-s", text)]
        task = ("-m", classifier_folder, "--task", "classification")
        assert textleak("capture", *given, *task, *more, "-o", "u.safetensors").code == 0
        save_file(load_file(tmp_path / "u.safetensors"), tmp_path / "plain.safetensors")
        return tmp_path / "plain.safetensors"

    return make


@pytest.fixture
def invert(textleak: Textleak, classifier_folder: str) -> Callable[..., Any]:
    def call(path: Path, *more: object) -> Any:
        task = ("-m", classifier_folder, "--task", "classification")
        return textleak("invert", path, *task, "-a", "fake", "--quiet", "--json", "r.json", *more)

    return call


def refused(outcome: Any, match: str) -> None:
    assert outcome.code == 2
    assert match in outcome.err
    assert outcome.err.count("\n") == 1
    assert outcome.out == ""


def record(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "r.json").read_text())
    return found


def test_lengths_are_checked_and_need_not_be_given(
    plain: Callable[..., Path], invert: Callable[..., Any], tmp_path: Path
) -> None:
    path = plain()
    refused(invert(path, "--lengths", "7"), "shows a sequence of 9 tokens; the longest that is sta")
    refused(invert(path, "--lengths", "9,25"), "states 25 tokens, the model takes at most 24")
    refused(invert(path, "--lengths", "0"), "lengths: expected 1 to")
    refused(invert(path, "--lengths", "9" * 5000), "--lengths expects whole numbers as 12,9")
    assert invert(path, "-a", "subspace").code == 0
    found = record(tmp_path)
    assert [s["recovered"] for s in found["sequences"]] == [TEXT]
    assert found["verified"]


def test_a_wrong_number_of_sequences_is_said(
    plain: Callable[..., Path], invert: Callable[..., Any], tmp_path: Path
) -> None:
    path = plain(texts=TWO)
    assert invert(path, "--lengths", "5").code == 0
    found = record(tmp_path)
    assert sorted(s["recovered"] for s in found["sequences"]) == sorted(TWO)
    assert "2 sequences were recovered, 1 stated" in found["warnings"]


def test_what_the_header_says_is_not_overruled(
    plain: Callable[..., Path], invert: Callable[..., Any], tmp_path: Path
) -> None:
    plain(texts=TWO)
    refused(invert(tmp_path / "u.safetensors", "--lengths", "5"), "states the lengths (5, 5), not")
    (tmp_path / "c.yaml").write_text("defences: [fp16]\n")
    stated = invert(tmp_path / "u.safetensors", "--config", "c.yaml")
    refused(stated, "was made with no defence, the configuration says fp16")
    (tmp_path / "c.yaml").write_text("dropout: true\n")
    stated = invert(tmp_path / "u.safetensors", "--config", "c.yaml")
    refused(stated, "was made without dropout, the configuration says otherwise")


def test_a_configuration_states_the_clients_defences(
    plain: Callable[..., Path], invert: Callable[..., Any], tmp_path: Path
) -> None:
    path = plain("--defence", "clip:norm=1e-3")
    (tmp_path / "c.yaml").write_text("defences: ['clip:norm=1e-3']\nmask_rate: 0.5\nshare: [x]\n")
    assert invert(path, "-a", "subspace", "--config", "c.yaml").code == 0
    found = record(tmp_path)
    assert found["defences"] == ["clip:norm=0.001"]
    assert found["verified"]


def test_what_only_a_client_uses_is_named(
    plain: Callable[..., Path], textleak: Textleak, classifier_folder: str, tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text("mask_rate: 0.5\nshare: [x]\nsentences: [a]\n")
    path = plain()
    task = ("-m", classifier_folder, "--task", "classification", "-a", "fake")
    outcome = textleak("invert", path, *task, "--config", "c.yaml")
    assert "not used here, the update has its own: sentences, mask_rate, share" in outcome.out


def test_a_file_with_few_parameters_does_not_share_all(
    plain: Callable[..., Path], invert: Callable[..., Any]
) -> None:
    outcome = invert(plain("--share", "bert.pooler*"))
    assert "shared: all parameters but 23 of 25, not in the file" in " ".join(outcome.out.split())
    assert "all parameters but" not in " ".join(invert(plain()).out.split())


def test_weights_are_no_update(
    invert: Callable[..., Any], classifier_folder: str, tmp_path: Path
) -> None:
    refused(invert(Path(classifier_folder) / "model.safetensors"), "holds the model's weights")


@pytest.mark.parametrize(
    ("header", "match"),
    [
        ({"batch_size": -1}, "batch_size: expected 1 to 65536, got -1"),
        ({"lengths": []}, "lengths: expected one a sequence, got none"),
        ({"lengths": [9, 9, 9], "batch_size": 1}, "lengths: expected 1, one a sequence, got 3"),
        ({"task": "classification", "labels": [[3]]}, "grants the label 3, the model has 0 to 2"),
        ({"model": {"name": "x", "weights_seed": 2**70}}, "model.weights_seed: "),
        ({"threat_model": {"shared": ["cls.*"]}}, "no parameter of the model matches"),
        ({"threat_model": {"shared": ["*bias"]}}, "header does not share"),
        ({"defences": ["fp61"]}, "unknown defence 'fp61'; did you mean 'fp16'?"),
    ],
)
def test_headers(
    plain: Callable[..., Path],
    invert: Callable[..., Any],
    tmp_path: Path,
    header: dict[str, Any],
    match: str,
) -> None:
    tensors = load_file(plain())
    save_file(tensors, tmp_path / "h.safetensors", metadata={HEADER_KEY: json.dumps(header)})
    refused(invert(tmp_path / "h.safetensors"), match)


NAMES = ["classifier.weight", "classifier.bias", "bert.pooler.dense.bias", "x", ""]
DTYPES = ["F64", "F32", "F16", "BF16", "I64", "BOOL", "F8_E4M3", "F8_E5M2", "U8", "C64", "F4", "X"]
VALUES = st.one_of(
    st.none(),
    st.integers(-2, 4) | st.sampled_from([10**9, 2**70]),
    st.text(max_size=3),
    st.lists(st.integers(-1, 30), max_size=3),
    st.lists(st.lists(st.integers(-1, 30), max_size=2), max_size=2),
    st.dictionaries(st.sampled_from(["name", "weights_seed", "shared", "dropout"]), st.just("x")),
)
FIELDS = ["task", "batch_size", "lengths", "labels", "masked_positions", "model", "defences", "y"]


@st.composite
def contents(draw: st.DrawFn) -> bytes:
    """A safetensors file whose every part may be wrong, and whose bytes may be mutated."""
    entries: dict[str, Any] = {}
    data = b""
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=3)):
        shape = draw(st.sampled_from([[3, 16], [3], [16], [], [0], [2, -1], [10**9, 10**9]]))
        own = draw(st.binary(max_size=4)) + bytes(draw(st.sampled_from([0, 8, 12, 60, 192])))
        entries[name] = {
            "dtype": draw(st.sampled_from(DTYPES)),
            "shape": shape,
            "data_offsets": [len(data), len(data) + len(own)],
        }
        data += own
    header = draw(st.dictionaries(st.sampled_from(FIELDS), VALUES))
    if draw(st.booleans()):
        entries["__metadata__"] = {HEADER_KEY: json.dumps(header)}
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text + data


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(contents(), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=2))
def test_any_file_is_read_or_refused(
    classifier: TextModel, tmp_path: Path, content: bytes, changes: list[tuple[int, int]]
) -> None:
    mutated = bytearray(content)
    for at, value in changes:
        mutated[at % len(mutated)] = value
    path = tmp_path / "u.safetensors"
    path.write_bytes(bytes(mutated))
    said = ""
    try:
        config = RunConfig(task="classification")
        found = files.read_files(path, None, None)
        stored = received.with_stated(found.update, config, None)
        received.completed(config, stored)
        files.fitted_to(classifier, found, stored)
    except TextleakError as error:
        said = str(error)
    assert len(said) < 1000


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_any_tensor_in_a_good_file_is_attacked_or_refused(
    classifier: TextModel, tmp_path: Path, data: st.DataObject
) -> None:
    from fake_attack import FakeAttack, FakeOptions

    from tests.sharing import share

    FakeAttack.truths.clear()
    _, update = share(classifier, [TEXT], [1])
    name = data.draw(st.sampled_from(sorted(update.gradients)))
    tensor = update.gradients[name].clone()
    value = data.draw(st.floats(width=32) | st.sampled_from([1e38, 1e-30, -0.0]))
    tensor.flatten()[data.draw(st.integers(0, tensor.numel() - 1))] = value
    changed = SharedUpdate({**update.gradients, name: tensor}, update.metadata)
    said = ""
    try:
        assert FakeAttack(FakeOptions(iterations=1))(classifier, changed).gradient_error >= 0
    except TextleakError as error:
        said = str(error)
    finite = bool(torch.isfinite(torch.tensor(value)))
    assert ("holds NaN or infinite values" in said) == (not finite)
