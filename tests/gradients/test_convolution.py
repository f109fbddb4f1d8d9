"""Convolutions and batch normalisation: captured gradients equal double backward."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from textleak.gradients import (
    Distance,
    EngineMatcher,
    OracleMatcher,
    Recorder,
    parameter_gradients,
)
from textleak.gradients.convolution import BatchNormRule, ConvolutionRule

BATCH, CHANNELS = 2, 2


def network(kernel: int, stride: int, padding: int, dilation: int, bias: bool) -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(CHANNELS, 3, kernel, stride, padding, dilation, bias=bias),
        nn.BatchNorm2d(3),
        nn.Sigmoid(),
        nn.Conv2d(3, 4, (1, 3), padding=(0, 1)),
        nn.Sigmoid(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 5),
    ).double()
    norm = layers[1]
    assert isinstance(norm, nn.BatchNorm2d)
    norm.running_mean = torch.rand(3).double()
    norm.running_var = 0.5 + torch.rand(3).double()
    return layers.eval()


@settings(max_examples=25, deadline=None)
@given(
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    dilation=st.integers(1, 2),
    bias=st.booleans(),
    candidates=st.integers(1, 3),
    size=st.tuples(st.integers(7, 9), st.integers(7, 9)),
)
def test_captured_gradients_equal_double_backward(
    kernel: int,
    stride: int,
    padding: int,
    dilation: int,
    bias: bool,
    candidates: int,
    size: tuple[int, int],
) -> None:
    model = network(kernel, stride, padding, dilation, bias)
    truth = torch.rand(BATCH, CHANNELS, *size).double()
    labels = torch.tensor([1, 4])
    shared = parameter_gradients(model, lambda: nn.functional.cross_entropy(model(truth), labels))
    dummy = torch.rand(candidates * BATCH, CHANNELS, *size).double().requires_grad_()

    def forward(_: Recorder) -> Tensor:
        targets = labels.repeat(candidates)
        losses = nn.functional.cross_entropy(model(dummy), targets, reduction="none")
        return losses.reshape(candidates, BATCH).mean(1)

    def evaluate(matcher: EngineMatcher | OracleMatcher) -> tuple[Tensor, Tensor]:
        values = matcher(forward, candidates=candidates, batch=BATCH)
        return values.detach(), torch.autograd.grad(values.sum(), dummy)[0]

    distance = Distance("l2")
    found = evaluate(EngineMatcher(model, shared, distance))
    expected = evaluate(OracleMatcher(model, shared, distance))
    for got, want in zip(found, expected, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("layer", "fits"),
    [
        (nn.Conv2d(2, 4, 3), True),
        (nn.Conv2d(2, 4, 3, groups=2), False),
        (nn.Conv2d(2, 4, 3, padding="same"), False),
        (nn.Conv2d(2, 4, 3, padding=1, padding_mode="reflect"), False),
    ],
)
def test_the_rule_takes_plain_convolutions_only(layer: nn.Module, fits: bool) -> None:
    assert ConvolutionRule().fits(layer) is fits


def test_batch_statistics_couple_the_candidates_and_are_not_captured() -> None:
    assert BatchNormRule().fits(nn.BatchNorm2d(2).eval())
    assert not BatchNormRule().fits(nn.BatchNorm2d(2).train())
    assert not BatchNormRule().fits(nn.BatchNorm2d(2, track_running_stats=False).eval())


def test_the_l2_distance_of_small_layers_is_exact_near_zero_in_single_precision() -> None:
    model = network(3, 1, 1, 1, bias=True).float()
    truth = torch.rand(1, CHANNELS, 9, 9)
    label = torch.tensor([1])
    shared = parameter_gradients(model, lambda: nn.functional.cross_entropy(model(truth), label))
    matcher = EngineMatcher(model, shared, Distance("l2"))
    value = matcher(lambda _: nn.functional.cross_entropy(model(truth), label))
    whole = sum(float(gradient.square().sum()) for gradient in shared.values())
    assert float(value.detach()) < 1e-11 * whole
