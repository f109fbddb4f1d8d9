"""Distances, thin forms of shared gradients, plain gradients and residuals near zero."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from gradients.cases import build, evaluate
from gradients.rounding import DEVIATIONS, TIMES_THE_ORACLE, hold_to_reference
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from textleak.core.errors import ConfigError
from textleak.gradients import (
    Distance,
    EngineMatcher,
    Matcher,
    OracleMatcher,
    agreement,
    parameter_gradients,
    relative_error,
)
from textleak.gradients.engine.lowrank import ROUNDING, compress
from textleak.gradients.quick import smooth, wide
from textleak.gradients.quick.interception import QuickSecondDerivatives


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(1, 60), st.sampled_from([torch.float32, torch.float64]), st.integers(0, 99))
def test_a_gradient_of_few_tokens_is_thin_to_rounding(
    rank: int, dtype: torch.dtype, seed: int
) -> None:
    torch.manual_seed(seed)
    matrix = torch.randn(300, rank, dtype=dtype) @ torch.randn(rank, 200, dtype=dtype)
    thin = compress(matrix)
    assert thin is not None
    error = thin.left.double() @ thin.right.double().mT - matrix.double()
    # What is left out, and as much again for factors and norms that are rounded themselves.
    assert error.norm() <= 2 * ROUNDING * torch.finfo(dtype).eps * matrix.norm()


def test_noise_is_not_thin() -> None:
    torch.manual_seed(0)
    matrix = torch.randn(300, 5) @ torch.randn(5, 200)
    assert compress(matrix + 1e-4 * torch.randn(300, 200)) is None
    assert compress(torch.randn(8, 8)) is None


@pytest.mark.parametrize("kind", ["l2", "cosine"])
def test_a_dense_shared_gradient_is_matched_too(kind: str) -> None:
    case = build("bert_soft_words", batch=1, length=5, seed=0, dtype=torch.float64)
    shared = {name: value + torch.randn_like(value) for name, value in case.shared().items()}
    hold_to_reference(case, shared, Distance(kind), 2)


@pytest.mark.parametrize("step", [1e-3, 1e-5])
def test_the_residual_keeps_its_digits_near_zero(step: float) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 64))
    truth = torch.randn(4, 64)
    shared = parameter_gradients(module, lambda: module(truth).square().sum())
    dummy = torch.stack([truth + times * step for times in (1, 2, 3, 4)])

    def distances(held: type[Matcher], dtype: torch.dtype) -> torch.Tensor:
        matcher = held(
            module.to(dtype), {n: g.to(dtype) for n, g in shared.items()}, Distance("l2")
        )
        points = dummy.to(dtype)
        found = matcher(lambda _: module(points).square().sum((1, 2)), candidates=4, batch=4)
        return found.detach().double()

    engine, oracle = (distances(held, torch.float32) for held in (EngineMatcher, OracleMatcher))
    expected = distances(OracleMatcher, torch.float64)
    size = sum(float(gradient.double().square().sum()) for gradient in shared.values())
    # g - G is as wrong as G is rounded; ||g||² - 2 <g, G> + ||G||² would be by the square of `larger`.
    larger = (size / expected).sqrt()
    rounding = DEVIATIONS * torch.finfo(torch.float32).eps * larger
    most = TIMES_THE_ORACLE * ((oracle - expected) / expected).abs().max() + rounding
    assert ((engine - expected).abs() <= most * expected).all()
    assert (rounding * larger > 2 * most).all()  # the expansion would be seen


def test_tensors_with_a_negligible_gradient_are_left_out() -> None:
    shared = {
        name: torch.full((3,), size) for name, size in zip("abc", (1.0, 0.5, 1e-8), strict=True)
    }
    assert list(Distance().select(shared)) == ["a", "b"]
    assert list(Distance(negligible=0).select(shared)) == ["a", "b", "c"]
    assert Distance(weights={"*": 2.0, "b": 0}).select(shared) == {"a": 2.0}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["bert_masked", "bert_soft_words", "bert_classifier"])
def test_a_gradient_that_is_only_rounding_is_never_matched(name: str, dtype: torch.dtype) -> None:
    """In the classifier of seed 637 the terms that cancel are twenty times the typical gradient."""
    key = "bert.encoder.layer.0.attention.self.key.bias"
    for seed in (*range(10), 637):
        shared = build(name, 2, 4, seed, dtype).shared()
        assert set(Distance().select(shared)) == {*shared} - {key}
        assert agreement({**shared, key: -shared[key]}, shared).worst == 0


def test_a_shared_zero_with_noise_on_it_has_no_slope() -> None:
    """Attention's key bias: the shared one is noise, the dummy's is zero but for rounding."""
    case = build("bert_masked", batch=1, length=5, seed=1, dtype=torch.float64)
    name = "bert.encoder.layer.0.attention.self.key.bias"
    shared = case.shared()
    shared[name] = torch.randn_like(shared[name])
    dummy = case.dummy(1)
    for held in (EngineMatcher, OracleMatcher):
        only = held(case.module, shared, Distance())
        assert name in only.weights
        noisy = evaluate(only, case, dummy, 1)[1]
        clean = evaluate(held(case.module, shared, Distance(weights={name: 0})), case, dummy, 1)[1]
        torch.testing.assert_close(noisy * len(only.weights), clean * (len(only.weights) - 1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "cosin"}, "unknown distance 'cosin'; did you mean 'cosine'"),
        ({"kind": "l2", "row_cosine": ("*",)}, "row_cosine needs the distance 'cosine'"),
        ({"weights": {"*": -1}}, "expected 0 or more"),
    ],
)
def test_distances_that_make_no_sense_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Distance(**options)  # type: ignore[arg-type]


def test_plain_gradients_touch_nothing() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    module[0].requires_grad_(False)
    expected = torch.autograd.functional.jacobian(
        lambda weight: F.linear(
            F.linear(torch.ones(1, 2), weight, module[0].bias), module[1].weight
        ),
        module[0].weight,
    )
    found = parameter_gradients(module, lambda: module(torch.ones(1, 2)).sum())
    torch.testing.assert_close(found["0.weight"], expected.view(2, 2))
    assert not any(parameter.requires_grad for parameter in module[0].parameters())
    assert all(parameter.grad is None for parameter in module.parameters())
    unused = parameter_gradients(module, module[1](torch.ones(1, 2)).sum(), ["0.bias", "1.bias"])
    assert unused["0.bias"].tolist() == [0, 0]
    assert unused["1.bias"].tolist() == [1]


def test_relative_error_counts_shared_tensors_only() -> None:
    shared = {"a": torch.tensor([3.0, 4.0])}
    assert relative_error({"a": torch.tensor([3.0, 4.0]), "b": torch.ones(9)}, shared) == 0
    assert relative_error({"a": torch.zeros(2)}, shared) == 1
    assert relative_error({"a": torch.ones(2)}, {"a": torch.zeros(2)}) == float("inf")


@pytest.mark.parametrize("labels", [[0, 4, 2], [1, 1, 3]])
def test_cross_entropy_twice(labels: list[int]) -> None:
    logits = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    target = torch.tensor(labels)
    torch.testing.assert_close(
        smooth.cross_entropy(logits, target), F.cross_entropy(logits, target, reduction="none")
    )
    assert torch.autograd.gradgradcheck(lambda x: smooth.cross_entropy(x, target), logits)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("ignored", [-100, 2])
def test_cross_entropy_is_taken_over_with_all_its_options(reduction: str, ignored: int) -> None:
    logits, labels = torch.randn(4, 5), torch.tensor([0, 2, 4, 2])
    plain = F.cross_entropy(logits, labels, reduction=reduction, ignore_index=ignored)
    smoothed = F.cross_entropy(logits, labels, label_smoothing=0.1)
    with QuickSecondDerivatives():
        quick = F.cross_entropy(logits, labels, reduction=reduction, ignore_index=ignored)
        torch.testing.assert_close(quick, plain)
        torch.testing.assert_close(F.cross_entropy(logits, labels, label_smoothing=0.1), smoothed)
        torch.testing.assert_close(
            F.gelu(logits, approximate="tanh"), nn.GELU(approximate="tanh")(logits)
        )


def test_gelu_twice() -> None:
    inputs = torch.linspace(-4, 4, 9, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradgradcheck(smooth.gelu, inputs)


def test_wide_products_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wide, "LARGE", 1)
    monkeypatch.setattr(wide, "CHUNK", 16)
    weight, bias = torch.randn(40, 3).double(), torch.randn(40).double()  # two chunks and a half
    inputs = torch.randn(2, 2, 3, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(wide.linear(inputs, weight, bias), F.linear(inputs, weight, bias))
    assert torch.autograd.gradcheck(lambda x: wide.linear(x, weight, bias).sin(), inputs)
    assert torch.autograd.gradgradcheck(lambda x: wide.linear(x, weight, None).sin().sum(), inputs)
