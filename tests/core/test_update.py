"""The update as a file: what goes in comes out, and whatever is wrong with it is said in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from textleak.client import Client, ClientOptions
from textleak.core.consistency import check_fits
from textleak.core.errors import UpdateError
from textleak.core.threat_model import ThreatModel
from textleak.core.update import HEADER_KEY, ModelRecipe, SharedUpdate, UpdateMetadata
from textleak.models import TextModel


@st.composite
def metadata(draw: st.DrawFn) -> UpdateMetadata:
    """Facts that do not contradict one another."""
    size = draw(st.integers(1, 4))
    lengths = draw(st.lists(st.integers(2, 9), min_size=size, max_size=size).map(tuple))
    task = draw(st.sampled_from([None, "mlm", "classification"]))
    count = 1 if task == "classification" else 2
    places = st.lists(st.integers(0, 1), min_size=count, max_size=count, unique=True).map(tuple)
    rows = st.lists(places, min_size=size, max_size=size).map(tuple)
    return UpdateMetadata(
        task=task,
        threat_model=draw(st.builds(ThreatModel)),
        batch_size=draw(st.sampled_from([None, size])),
        lengths=draw(st.sampled_from([None, lengths])),
        labels=draw(st.none() | rows),
        masked_positions=draw(st.none() | rows),
        model=draw(st.none() | st.builds(ModelRecipe, name=st.text(max_size=5))),
        defences=draw(st.lists(st.text(max_size=5)).map(tuple)),
    )


@settings(max_examples=25)
@given(metadata())
def test_metadata_survives_the_file(
    tmp_path_factory: pytest.TempPathFactory, facts: UpdateMetadata
) -> None:
    path = tmp_path_factory.mktemp("round") / "u.safetensors"
    SharedUpdate({"w": torch.tensor([1.5])}, facts).save(path)
    assert SharedUpdate.load(path).metadata == facts


def test_gradients_survive_the_file(mlm: TextModel, tmp_path: Path) -> None:
    client = Client(mlm)
    update = client.share(client.prepare(["the cat sat on the mat"]))
    update.save(tmp_path / "u.safetensors")
    again = SharedUpdate.load(tmp_path / "u.safetensors")
    assert again.metadata == update.metadata
    assert again.gradients.keys() == update.gradients.keys() == mlm.parameters.keys()
    for name, gradient in update.gradients.items():
        assert torch.equal(again.gradients[name], gradient)


def test_nothing_of_the_text_is_in_the_header_unless_granted(mlm: TextModel) -> None:
    for granted in (False, True):
        threat = ThreatModel(labels=granted, masked_positions=granted)
        client = Client(mlm, ClientOptions(), threat)
        facts = client.share(client.prepare(["the cat sat"])).metadata
        assert (facts.labels is not None) == granted
        assert (facts.masked_positions is not None) == granted
        assert "cat" not in facts.model_dump_json().replace("classification", "")
    hidden = ThreatModel(batch_size=False, lengths=False)
    client = Client(mlm, ClientOptions(), hidden)
    facts = client.share(client.prepare(["the cat sat"])).metadata
    assert facts.batch_size is facts.lengths is None


def test_a_file_without_a_header_has_no_facts(tmp_path: Path) -> None:
    save_file({"w": torch.ones(2)}, tmp_path / "plain.safetensors")
    assert SharedUpdate.load(tmp_path / "plain.safetensors").metadata == UpdateMetadata()


def test_a_failed_save_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "no").touch()
    with pytest.raises(UpdateError, match="cannot write"):
        SharedUpdate({"w": torch.ones(2)}, UpdateMetadata()).save(tmp_path / "no" / "u.safetensors")
    assert list(tmp_path.iterdir()) == [tmp_path / "no"]


@pytest.mark.parametrize("keep", [0, 5, 60, -1])
def test_a_truncated_file_is_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "u.safetensors"
    SharedUpdate({"w": torch.ones(9)}, UpdateMetadata()).save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UpdateError, match="not a whole safetensors file"):
        SharedUpdate.load(path)


def test_what_is_not_an_update_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not tensors at all, but long enough to have a header")
    with pytest.raises(UpdateError, match="not a whole safetensors file"):
        SharedUpdate.load(tmp_path / "text")
    with pytest.raises(UpdateError, match="no update at"):
        SharedUpdate.load(tmp_path / "none")
    with pytest.raises(UpdateError, match="no update at"):
        SharedUpdate.load(tmp_path)
    save_file({}, tmp_path / "empty")
    with pytest.raises(UpdateError, match="holds no gradients"):
        SharedUpdate.load(tmp_path / "empty")
    save_file({"w": torch.ones(1)}, tmp_path / "odd", metadata={HEADER_KEY: '{"lengths": "x"}'})
    with pytest.raises(UpdateError, match="is not valid: lengths: input"):
        SharedUpdate.load(tmp_path / "odd")


def misfit(gradients: dict[str, torch.Tensor], match: str) -> None:
    parameters = {"layer.weight": torch.zeros(2, 3)}
    with pytest.raises(UpdateError, match=match):
        check_fits(SharedUpdate(gradients, UpdateMetadata()), parameters)


def test_an_update_that_does_not_fit_is_refused() -> None:
    good = torch.zeros(2, 3)
    check_fits(SharedUpdate({"layer.weight": good}, UpdateMetadata()), {"layer.weight": good})
    misfit({"layer.wieght": good}, "no parameter of the model; the nearest is 'layer.weight'")
    misfit({"layer.weight": torch.zeros(3, 2)}, r"has shape \(3, 2\), the model's \(2, 3\)")
    misfit({"layer.weight": good.fill_(float("nan"))}, "NaN or infinite")
    misfit({"layer.weight": torch.full((2, 3), float("inf"))}, "NaN or infinite")
    misfit({"layer.weight": torch.zeros(2, 3, dtype=torch.long)}, "holds int64, not float64")
