"""A small training under defences: it learns without, it does not under drowning noise."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from textleak.core.errors import DataError
from textleak.defences import Defences
from textleak.models import TextModel
from textleak.utility import (
    ImageLearner,
    LearningOptions,
    TextLearner,
    Tradeoff,
    learn,
    plot,
    table,
)
from textleak.utility.learners import split
from textleak.vision.batch import ImageBatch
from textleak.vision.models import ImageModelOptions, load_image_model

CATS = ["the cat sat .", "a cat ran on the mat !", "the cat and a cup .", "a cat broke the chair ."]
DOGS = ["the dog sat .", "a dog ran on the mat !", "the dog and a cup .", "a dog broke the chair ."]
QUICK = LearningOptions(steps=40, batch_size=4, rate=0.1)


@pytest.fixture
def texts(classifier: TextModel) -> TextLearner:
    learnt, tested = split(8, 0.25)
    return TextLearner(classifier, [*CATS, *DOGS], [0] * 4 + [2] * 4, learnt, tested)


def test_a_learner_learns_and_its_model_is_put_back(texts: TextLearner) -> None:
    before = {name: value.clone() for name, value in texts.module.state_dict().items()}
    assert learn(texts, Defences(), QUICK) == 1.0
    assert all(torch.equal(v, before[k]) for k, v in texts.module.state_dict().items())
    assert all(p.grad is None for p in texts.module.parameters())
    assert learn(texts, Defences(), QUICK) == 1.0


@pytest.mark.parametrize(
    "spec", ["fp16", "topk:ratio=0.1", "fedavg:steps=2,rate=0.1", "withhold", "clip", "dropout"]
)
def test_mild_defences_still_learn(texts: TextLearner, spec: str) -> None:
    longer = QUICK.model_copy(update={"steps": 80})
    assert learn(texts, Defences.parse([spec]), longer) >= 0.5


def test_drowning_noise_leaves_the_class_to_chance() -> None:
    torch.manual_seed(0)
    model = load_image_model(ImageModelOptions(name="mlp", shape=(1, 8, 8), classes=10))
    labels = torch.arange(40) % 2
    pixels = torch.rand(40, 1, 8, 8) * 0.2 + labels[:, None, None, None] * 0.7
    learner = ImageLearner(model, ImageBatch(pixels, labels), *split(40, 0.5))
    options = LearningOptions(steps=60, batch_size=8, rate=0.05)
    clean = learn(learner, Defences(), options)
    noisy = learn(learner, Defences.parse(["gaussian:std=10"]), options)
    assert clean > 0.9
    assert noisy < clean


def test_a_split_needs_both_sides() -> None:
    learnt, tested = split(10, 0.3)
    assert sorted([*learnt, *tested]) == list(range(10))
    assert len(tested) == 3
    with pytest.raises(DataError, match="to learn from and to test on"):
        split(1, 0.3)


@pytest.mark.parametrize("name", ["t.png", "t.svg"])
def test_a_plot_is_written(tmp_path: Path, name: str) -> None:
    rows = [Tradeoff("none", 0.8, 1.0), Tradeoff("fp16", 0.8, 1.0), Tradeoff("clip", 0.5)]
    plot(rows, tmp_path / name)
    assert (tmp_path / name).stat().st_size > 1000
    assert "| clip | 0.50 | – |" in table(rows)


def test_a_plot_of_no_known_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"called \.png or \.svg"):
        plot([Tradeoff("none", 0.8, 1.0)], tmp_path / "t.txt")
    assert not list(tmp_path.iterdir())
