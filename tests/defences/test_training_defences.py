"""Defences in a client's training: what they change of the update, and what an attacker can check."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from opacus.accountants import RDPAccountant
from opacus.grad_sample import GradSampleModule
from torch import nn
from torch.nn import functional as F

from textleak.client import Client, ClientOptions
from textleak.core.errors import ConfigError
from textleak.core.update import SharedUpdate
from textleak.defences import DEFENCES, Defences, TrainingDefence
from textleak.models import TextModel
from textleak.training import LocalSteps, PerExample, TrainingPlan, train
from textleak.verdict.recompute import verify

TEXTS = ["the cat sat on the mat .", "a dog ran !", "the chair broke a cup ."]
IN_TRAINING = [name for name in DEFENCES if issubclass(DEFENCES.load(name), TrainingDefence)]


def share(model: TextModel, *specs: str, seed: int | None = 0) -> SharedUpdate:
    client = Client(model, ClientOptions(seed=seed), defences=Defences.parse(specs))
    return client.share(client.prepare(TEXTS))


@pytest.mark.parametrize("name", IN_TRAINING)
@pytest.mark.parametrize("task", ["mlm", "classifier"])
def test_the_model_is_left_alone_and_the_update_says_what_was_done(
    name: str, task: str, request: pytest.FixtureRequest
) -> None:
    model: TextModel = request.getfixturevalue(task)
    before = {key: value.clone() for key, value in model.module.state_dict().items()}
    once, again = share(model, name, "fp16"), share(model, name, "fp16")
    assert all(torch.equal(value, before[key]) for key, value in model.module.state_dict().items())
    assert not any(part.training for part in model.module.modules())
    assert all(torch.equal(once.gradients[key], again.gradients[key]) for key in once.gradients)
    assert once.metadata.defences == (Defences.parse([name]).specs[0], "fp16")
    plain = share(model, "fp16").gradients
    assert any(
        key not in once.gradients or not torch.equal(once.gradients[key], plain[key])
        for key in plain
    )


REPRODUCED = [
    "clip:norm=0.1",
    "fp16",
    "int8",
    "prune:ratio=0.7",
    "topk:ratio=0.05,earlier=2",
    "fedavg:steps=3,rate=0.1,batch_size=2",
    "withhold",
    "dpsgd:clip=0.1,noise=0",
]
NOT_REPRODUCED = ["gaussian:std=1e-2", "laplacian:std=1e-2", "dropout", "dpsgd:noise=0.5"]


@pytest.mark.parametrize("spec", [*REPRODUCED, *NOT_REPRODUCED])
def test_the_truth_is_verified_unless_chance_hides_it(mlm: TextModel, spec: str) -> None:
    client = Client(mlm, ClientOptions(seed=0), defences=Defences.parse([spec]))
    private = client.prepare(TEXTS)
    update = client.share(private)
    assert verify(mlm, update, private.batch).near == (spec in REPRODUCED)
    other = Client(mlm, ClientOptions(seed=0)).prepare(["the cat sat on a mat .", *TEXTS[1:]]).batch
    assert not verify(mlm, update, other).near


def test_later_steps_of_a_client_carry_what_earlier_ones_left(mlm: TextModel) -> None:
    client = Client(mlm, ClientOptions(seed=0), defences=Defences.parse(["topk:ratio=0.1"]))
    private = client.prepare(TEXTS)
    first, second = client.share(private), client.share(private)
    expected = share(mlm, "topk:ratio=0.1,earlier=1").gradients
    assert all(torch.equal(second.gradients[key], expected[key]) for key in expected)
    assert any(not torch.equal(first.gradients[key], expected[key]) for key in expected)


def small() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))
    return module, torch.randn(6, 5), torch.tensor([0, 1, 2, 0, 1, 2])


def test_clipping_by_example_agrees_with_opacus() -> None:
    module, inputs, labels = small()
    plan = TrainingPlan(
        tuple(name for name, _ in module.named_parameters()),
        per_example=PerExample(clip=0.3, noise=0.0),
    )
    own = train(
        module,
        plan,
        lambda rows: F.cross_entropy(module(inputs[list(rows)]), labels[list(rows)]),
        count=6,
        seed=0,
    )
    wrapped = GradSampleModule(module, loss_reduction="mean")
    F.cross_entropy(wrapped(inputs.requires_grad_()), labels).backward()
    theirs = {name: p.grad_sample for name, p in module.named_parameters()}
    norms = torch.stack([g.flatten(1).norm(dim=1) for g in theirs.values()], 1).norm(dim=1)
    factors = (0.3 / norms).clamp(max=1)
    assert bool((factors < 1).any())
    for name, gradients in theirs.items():
        expected = torch.einsum("n,n...->...", factors, gradients) / 6
        torch.testing.assert_close(own[name], expected)


def test_noise_is_on_the_sum_in_units_of_the_clipping_norm() -> None:
    module = nn.Linear(200, 100, bias=False)
    plan = TrainingPlan(("weight",), per_example=PerExample(clip=0.5, noise=2.0))
    found = train(module, plan, lambda rows: 0 * module.weight.sum(), count=4, seed=1)
    assert float(found["weight"].std()) == pytest.approx(2.0 * 0.5 / 4, rel=0.02)


def test_local_steps_share_the_weight_delta_as_a_mean_gradient() -> None:
    module, inputs, labels = small()
    names = tuple(name for name, _ in module.named_parameters())
    local = LocalSteps(steps=5, rate=0.1, batch_size=4)

    def loss(rows: object) -> torch.Tensor:
        at = list(rows)  # type: ignore[call-overload]
        return F.cross_entropy(module(inputs[at]), labels[at])

    shared = train(module, TrainingPlan(names, local=local), loss, count=6, seed=0)
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    solver = torch.optim.SGD(module.parameters(), lr=0.1)
    for step in range(5):
        solver.zero_grad()
        loss(local.rows(step, 6)).backward()
        solver.step()
    for name, parameter in module.named_parameters():
        delta = parameter.detach() - before[name]
        torch.testing.assert_close(-0.5 * shared[name], delta, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("how", "solver"),
    [
        (dict(momentum=0.9, weight_decay=0.01), torch.optim.SGD),
        (dict(optimizer="adam", weight_decay=0.01), torch.optim.Adam),
        (dict(optimizer="adamw", weight_decay=0.01), torch.optim.AdamW),
    ],
)
def test_local_steps_are_those_of_torch_s_optimisers(how: dict[str, Any], solver: Any) -> None:
    module, inputs, labels = small()
    names = tuple(name for name, _ in module.named_parameters())
    local = LocalSteps(steps=3, rate=0.01, batch_size=1, accumulation=2, max_norm=0.1, **how)

    def loss(rows: object) -> torch.Tensor:
        at = list(rows)  # type: ignore[call-overload]
        return F.cross_entropy(module(inputs[at]), labels[at])

    shared = train(module, TrainingPlan(names, local=local), loss, count=6, seed=0)
    assert all(parameter.grad is None for parameter in module.parameters())
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    taken = solver(
        module.parameters(), lr=0.01, **{k: v for k, v in how.items() if k != "optimizer"}
    )
    for step in range(3):
        taken.zero_grad()
        for row in (2 * step, 2 * step + 1):
            (loss([row]) / 2).backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 0.1)
        taken.step()
    for name, parameter in module.named_parameters():
        delta = parameter.detach() - before[name]
        torch.testing.assert_close(-0.03 * shared[name], delta, rtol=1e-3, atol=1e-6)


def test_the_epsilon_is_opacus_own_and_travels_with_the_update(classifier: TextModel) -> None:
    update = share(classifier, "dpsgd:noise=1.1,steps=500,rate=0.02,delta=1e-6", seed=None)
    accountant = RDPAccountant()
    for _ in range(500):
        accountant.step(noise_multiplier=1.1, sample_rate=0.02)
    found = update.metadata.privacy
    assert found is not None
    assert found.epsilon == pytest.approx(accountant.get_epsilon(1e-6), rel=1e-3)
    assert (found.delta, found.steps, found.sampling_rate) == (1e-6, 500, 0.02)
    nothing = share(classifier, "dpsgd:noise=0").metadata.privacy
    assert nothing is not None
    assert nothing.epsilon is None
    assert share(classifier).metadata.privacy is None


@pytest.mark.parametrize(
    ("spec", "gone", "kept"),
    [
        ("withhold", "bert.embeddings.word_embeddings.weight", "bert.encoder.layer.0"),
        ("withhold:part=encoder", "bert.encoder.layer.0", "cls.predictions.bias"),
        ("withhold:last=0", "bert.encoder.layer.0", "cls.predictions.bias"),
        ("withhold:last=1", "bert.embeddings", "bert.encoder.layer.0"),
        ("withhold:pattern=*query*", "query", "bert.embeddings"),
    ],
)
def test_withheld_parameters_are_missing(mlm: TextModel, spec: str, gone: str, kept: str) -> None:
    update = share(mlm, spec)
    assert not any(gone in name for name in update.gradients)
    assert any(kept in name for name in update.gradients)
    assert " but " in update.metadata.threat_model.describe()


@pytest.mark.parametrize(
    ("specs", "complaint"),
    [
        (["withhold:pattern=nix*"], "fits no parameter"),
        (["withhold:pattern=*"], "nothing is left to share"),
        (["fedavg", "fedavg:steps=2"], "fedavg was given twice"),
        (["dpsgd", "dpsgd"], "dpsgd was given twice"),
    ],
)
def test_what_cannot_be_is_refused(mlm: TextModel, specs: list[str], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        share(mlm, *specs)


def test_dropout_is_told_to_the_attacker_and_needs_a_layer(mlm: TextModel) -> None:
    assert share(mlm, "dropout:rate=0.5").metadata.threat_model.dropout
    module, inputs, labels = small()
    plan = TrainingPlan(("0.weight",), dropout=True)
    with pytest.raises(ConfigError, match="the model has no dropout"):
        train(module, plan, lambda rows: F.cross_entropy(module(inputs), labels), count=6, seed=0)


def test_local_steps_are_told_to_the_attacker(mlm: TextModel) -> None:
    assert share(mlm, "fedavg:steps=2,rate=0.1").metadata.local == LocalSteps(steps=2, rate=0.1)
    assert share(mlm).metadata.local is None
