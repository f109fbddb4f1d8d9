"""What the engine promises beyond equal numbers: the model, the memory, the candidates."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from gradients.cases import CASES, Case, build, evaluate
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from textleak.core.errors import ModelError, UpdateError
from textleak.gradients import MATCHERS, Distance, EngineMatcher, Matcher
from textleak.gradients.distances import KINDS
from textleak.gradients.engine import evaluation

FORMED_THE_PLAIN_WAY = {
    "convolutions": {"5.weight", "5.bias"},  # padding="same"
    "odd": {
        "scale",
        "words.weight",
        *(f"attention.{name}" for name in ("in_proj_weight", "in_proj_bias")),
        *(f"attention.out_proj.{name}" for name in ("weight", "bias")),
    },
}


@pytest.mark.parametrize("name", CASES)
def test_only_uses_without_a_rule_are_formed_the_plain_way(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = build(name, batch=2, length=5, seed=0, dtype=torch.float64)
    formed: set[str] = set()
    plain = evaluation._each_candidate

    def spy(losses: Tensor, parameters: dict[str, Tensor], direct: dict[str, Tensor]) -> Any:
        formed.update(direct)
        return plain(losses, parameters, direct)

    monkeypatch.setattr(evaluation, "_each_candidate", spy)
    evaluate(EngineMatcher(case.module, case.shared(), Distance()), case, case.dummy(4), 2)
    assert formed == FORMED_THE_PLAIN_WAY.get(name, set())


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("matcher", MATCHERS.names())
@pytest.mark.parametrize("fails", [False, True])
def test_model_is_left_as_found(name: str, matcher: str, fails: bool) -> None:
    case = build(name, batch=1, length=5, seed=0, dtype=torch.float32)
    shared = case.shared()
    frozen = next(case.module.parameters()).requires_grad_(False)
    case.module.train()
    before = snapshot(case.module)
    held = MATCHERS.load(matcher)(case.module, shared, Distance("l2"))
    dummy = case.dummy(1)

    def forward(recorder: Any) -> Tensor:
        losses = case.losses(recorder, dummy, 1)
        if fails:
            raise RuntimeError("on purpose")
        return losses

    if fails:
        with pytest.raises(RuntimeError, match="on purpose"):
            held(forward)
    else:
        held(forward).sum().backward()
    assert all(parameter.grad is None for parameter in case.module.parameters())
    assert not frozen.requires_grad
    assert snapshot(case.module) == before


def snapshot(module: nn.Module) -> list[object]:
    """Which tensors sit where, what they hold, and which attributes each layer has."""
    state: list[object] = [
        (name, value.sum().item()) for name, value in module.state_dict().items()
    ]
    for part in module.modules():
        owned = {**part._parameters, **part._buffers}
        state.append((sorted(part.__dict__), {key: id(value) for key, value in owned.items()}))
        state.append((part.training, [value.requires_grad for value in part.parameters()]))
    return state


@pytest.mark.parametrize("matcher", MATCHERS.names())
def test_frozen_parameters_and_a_subset_are_matched(matcher: str) -> None:
    case = build("bert_masked", batch=1, length=5, seed=1, dtype=torch.float64)
    shared = case.shared()
    dummy = case.dummy(1)
    kept = {name: shared[name] for name in shared if "attention" in name}
    free = evaluate(MATCHERS.load(matcher)(case.module, kept, Distance()), case, dummy, 1)
    case.module.requires_grad_(False)
    frozen = evaluate(MATCHERS.load(matcher)(case.module, kept, Distance()), case, dummy, 1)
    torch.testing.assert_close(frozen, free)


@pytest.mark.parametrize("kind", KINDS)
def test_gradcheck(kind: str) -> None:
    case = build("bert_masked", batch=1, length=4, seed=2, dtype=torch.float64)
    matcher = EngineMatcher(case.module, case.shared(), Distance(kind))
    dummy = case.dummy(2)
    assert torch.autograd.gradcheck(
        lambda x: matcher(case.forward(x, 2), candidates=2), dummy, fast_mode=True
    )


@pytest.mark.parametrize("name", ["bert_masked", "convolutions", "odd"])
def test_candidates_do_not_touch_each_other(name: str) -> None:
    case = build(name, batch=2, length=5, seed=3, dtype=torch.float64)
    matcher = EngineMatcher(case.module, case.shared(), Distance())
    dummy = case.dummy(6)
    distances = matcher(case.forward(dummy, 3), candidates=3, batch=2)
    (slope,) = torch.autograd.grad(distances[1], dummy)
    assert slope[2:4].abs().sum() > 0
    assert slope[:2].abs().sum() == slope[4:].abs().sum() == 0
    alone = [
        matcher(case.forward(part.detach(), 1), candidates=1, batch=2) for part in dummy.split(2)
    ]
    torch.testing.assert_close(distances, torch.cat(alone))


def test_value_alone_is_the_same_and_keeps_no_graph() -> None:
    case = build("bert_masked", batch=1, length=5, seed=4, dtype=torch.float64)
    matcher = EngineMatcher(case.module, case.shared(), Distance())
    forward = case.forward(case.dummy(2), 2)
    value = matcher(forward, candidates=2, differentiable=False)
    assert not value.requires_grad
    torch.testing.assert_close(value, matcher(forward, candidates=2).detach())


class LargeAllocations(TorchDispatchMode):
    """Notes every operation whose result holds `limit` numbers or more in memory of its own."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        known = {value.data_ptr() for value in args if isinstance(value, Tensor)}
        created = result if isinstance(result, tuple | list) else (result,)
        for value in (value for value in created if isinstance(value, Tensor)):
            large = value.untyped_storage().nbytes() >= self.limit * value.element_size()
            if large and value.data_ptr() not in known:
                self.found.append(f"{func} {tuple(value.shape)}")
        return result


@pytest.mark.parametrize(("matcher", "clean"), [("engine", True), ("oracle", False)])
def test_no_tensor_of_a_weights_size_is_created(matcher: str, clean: bool) -> None:
    torch.manual_seed(0)
    width = 64
    module = nn.Sequential(
        nn.Embedding(400, width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, 400)
    )
    module[3].weight = module[0].weight  # tied
    case = Case(module, lambda n: torch.randn(n, 4, width).requires_grad_(), _head(module), 1)
    held = MATCHERS.load(matcher)(module, case.shared(), Distance("relative-l2"))
    dummy = case.dummy(2)
    evaluate(held, case, dummy, 2)  # what is prepared once is not what is asked for here
    with LargeAllocations(width * width) as noted:
        evaluate(held, case, dummy, 2)
    assert (noted.found == []) == clean, noted.found


def _head(module: nn.Sequential) -> Callable[[Any, Tensor, int], Tensor]:
    def losses(_: Any, dummy: Tensor, candidates: int) -> Tensor:
        labels = torch.arange(4).repeat(candidates)
        logits = module[1:](dummy).flatten(0, 1)
        return F.cross_entropy(logits, labels, reduction="none").view(candidates, -1).mean(1)

    return losses


def test_layers_that_mix_candidates_are_refused() -> None:
    case = build("convolutions", batch=1, length=5, seed=6, dtype=torch.float32)
    matcher = EngineMatcher(case.module, case.shared(), Distance())
    case.module.train()
    with pytest.raises(ModelError, match="candidate-major"):
        evaluate(matcher, case, case.dummy(2), 2)


def test_rows_that_are_not_candidate_major_are_refused() -> None:
    module = nn.Linear(3, 2)
    matcher = EngineMatcher(module, {"weight": torch.randn(2, 3)}, Distance())
    with pytest.raises(ModelError, match="Linear was called with leading axis 3; expected"):
        matcher(lambda _: module(torch.randn(3, 3)).sum().expand(2), candidates=2)


def test_inputs_overwritten_after_the_call_are_refused() -> None:
    module = nn.Linear(3, 3, bias=False)
    matcher = EngineMatcher(module, {"weight": torch.randn(3, 3)}, Distance("l2"))

    def forward(_: Any) -> Tensor:
        hidden = torch.randn(2, 3).requires_grad_() * 2
        output = module(hidden)
        hidden += 1
        return output.square().sum().view(1)

    with pytest.raises(ModelError, match="overwritten in place"):
        matcher(forward)


def test_gradient_checkpointing_of_the_model_does_not_matter() -> None:
    case = build("bert_masked", batch=1, length=5, seed=7, dtype=torch.float64)
    matcher: Matcher = EngineMatcher(case.module, case.shared(), Distance())
    dummy = case.dummy(2)
    case.module.train()
    expected = evaluate(matcher, case, dummy, 2)
    blocks = [part for part in case.module.modules() if hasattr(part, "gradient_checkpointing")]
    for part in blocks:
        part.gradient_checkpointing = True
    torch.testing.assert_close(evaluate(matcher, case, dummy, 2), expected)
    assert blocks
    assert all(part.gradient_checkpointing for part in blocks)


@pytest.mark.parametrize("matcher", MATCHERS.names())
def test_what_does_not_fit_is_refused(matcher: str) -> None:
    module = nn.Linear(3, 2)
    make = MATCHERS.load(matcher)
    with pytest.raises(UpdateError, match="'wieght' fits no parameter"):
        make(module, {"wieght": torch.ones(2, 3)}, Distance())
    with pytest.raises(UpdateError, match="'weight' fits no parameter"):
        make(module, {"weight": torch.ones(3, 2)}, Distance())
    with pytest.raises(UpdateError, match="no shared gradient is left"):
        make(module, {"weight": torch.zeros(2, 3)}, Distance())
    held = make(module, {"weight": torch.ones(2, 3)}, Distance())
    with pytest.raises(ValueError, match=r"expected one loss a candidate, \(1,\)"):
        held(lambda _: module(torch.ones(2, 3)).sum(1))
    with pytest.raises(ModelError, match="did you mean 'weight'"):
        held(lambda recorder: recorder.lookup("wight", torch.ones(1, 1, 2)).sum())


def test_deep_copies_of_a_model_do_not_share_rules() -> None:
    case = build("bert_masked", batch=1, length=5, seed=8, dtype=torch.float64)
    shared = case.shared()
    EngineMatcher(case.module, shared, Distance())
    assert all("forward" not in part.__dict__ for part in copy.deepcopy(case.module).modules())
