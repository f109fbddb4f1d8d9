"""The image problem of `textleak bench matching`: both sides agree on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch

from textleak.gradients import Distance, EngineMatcher, OracleMatcher
from textleak.vision.bench import soft_labelled_images
from textleak.vision.models import ImageModelOptions, load_image_model


@pytest.mark.parametrize("name", ["lenet", "resnet20", "mlp"])
@pytest.mark.parametrize("kind", ["l2", "cosine-all"])
def test_engine_and_double_backward_agree_on_every_network(name: str, kind: str) -> None:
    options = ImageModelOptions(name=name, shape=(3, 8, 8), dtype="float64")
    problem = soft_labelled_images(load_image_model(options), batch=2)
    dummy = problem.dummy(2)
    found = []
    for matcher in (EngineMatcher, OracleMatcher):
        side = matcher(problem.module, problem.shared, Distance(kind))
        values = side(problem.forward(dummy, 2), candidates=2, batch=2)
        found.append((values.detach(), torch.autograd.grad(values.sum(), dummy)[0]))
    for got, want in zip(*found, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-8, atol=1e-12)


def test_the_command_times_images(textleak: Callable[..., Any]) -> None:
    done = textleak(
        "bench", "matching", "--model", "lenet", "--restarts", 2, "--rounds", 1,
        "--distance", "l2", "--json", "-",
    )  # fmt: skip
    assert done.code == 0, done.err
    record = json.loads(done.out)
    assert record["tokens"] is None
    assert record["ratio"] > 0
    assert record["peak_bytes_engine"] > 0
