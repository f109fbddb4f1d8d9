"""Every defence keeps the promises of the base, and does what it says."""

from __future__ import annotations

import pytest
import torch

from textleak.core.errors import ConfigError
from textleak.core.update import SharedUpdate, UpdateMetadata
from textleak.defences import DEFENCES, Defence, Defences, UpdateDefence, on_update, parse_defence


@pytest.fixture
def update() -> SharedUpdate:
    generator = torch.Generator().manual_seed(0)
    gradients = {
        "weight": torch.randn(300, 200, generator=generator),
        "bias": 0.01 * torch.randn(50, generator=generator),
        "dead": torch.zeros(4),
    }
    return SharedUpdate(gradients, UpdateMetadata(task="image"))


ON_UPDATES = [name for name in DEFENCES if issubclass(DEFENCES.load(name), UpdateDefence)]


@pytest.mark.parametrize("name", DEFENCES.names())
def test_a_defence_says_what_it_is(name: str) -> None:
    kind = DEFENCES.load(name)
    assert issubclass(kind, Defence)
    assert kind.name == name
    assert "__call__" not in vars(kind)
    assert kind.promises.endswith(".")
    assert kind.costs.endswith(".")
    spec = parse_defence(name).spec
    assert parse_defence(spec).spec == spec


@pytest.mark.parametrize("name", ON_UPDATES)
def test_a_defence_of_updates_keeps_its_promises(name: str, update: SharedUpdate) -> None:
    defence = on_update(name)
    before = {key: tensor.clone() for key, tensor in update.gradients.items()}
    once, again = defence(update, seed=3), defence(update, seed=3)
    assert list(once.gradients) == list(before)
    for key, tensor in once.gradients.items():
        assert torch.equal(tensor, again.gradients[key])
        assert torch.equal(update.gradients[key], before[key])
        assert tensor.shape == before[key].shape
        assert bool(tensor.isfinite().all())
    assert once.metadata.defences == (defence.spec,)
    assert update.metadata.defences == ()
    if defence.reproducible:
        other = defence(update, seed=4)
        assert all(torch.equal(once.gradients[key], other.gradients[key]) for key in before)


def test_defences_stand_one_on_another(update: SharedUpdate) -> None:
    both = Defences.parse(["pruning:ratio=0.5", "fp16"]).protect(update)
    assert both.metadata.defences == ("prune:ratio=0.5,scope=tensor", "fp16")


def test_two_noises_are_drawn_apart(update: SharedUpdate) -> None:
    both = Defences.parse(["gaussian:std=1e-2", "gaussian:std=1e-2"]).protect(update)
    noise = both.gradients["weight"] - update.gradients["weight"]
    assert float(noise.std()) == pytest.approx(2**0.5 * 1e-2, rel=0.02)


@pytest.mark.parametrize("name", ["gaussian", "laplacian"])
def test_noise_has_the_variance_asked_for(name: str, update: SharedUpdate) -> None:
    shared = on_update(f"{name}:std=1e-2")(update, seed=1)
    noise = shared.gradients["weight"] - update.gradients["weight"]
    assert float(noise.std()) == pytest.approx(1e-2, rel=0.02)
    assert abs(float(noise.mean())) < 2e-4
    heavy = float((noise.abs() > 4e-2).float().mean())
    assert heavy == pytest.approx({"gaussian": 6e-5, "laplacian": 3.5e-3}[name], abs=1e-3)
    other = on_update(f"{name}:std=1e-2")(update, seed=2)
    assert not torch.equal(other.gradients["weight"], shared.gradients["weight"])


@pytest.mark.parametrize(
    ("name", "dtype", "relative"),
    [("fp16", torch.float16, 2**-11), ("bf16", torch.bfloat16, 2**-8)],
)
def test_half_precision_rounds(
    name: str, dtype: torch.dtype, relative: float, update: SharedUpdate
) -> None:
    shared = on_update(name)(update).gradients["weight"]
    assert shared.dtype == dtype
    truth = update.gradients["weight"]
    assert bool(((shared.float() - truth).abs() <= relative * truth.abs() + 1e-7).all())


def test_half_precision_does_not_overflow() -> None:
    update = SharedUpdate({"w": torch.tensor([1e6, -1e6])}, UpdateMetadata())
    assert on_update("fp16")(update).gradients["w"].tolist() == [65504.0, -65504.0]


def test_int8_leaves_255_values_a_tensor(update: SharedUpdate) -> None:
    shared = on_update("int8")(update).gradients
    truth = update.gradients["weight"]
    assert 200 < len(shared["weight"].unique()) <= 255
    step = float(truth.abs().max()) / 127
    assert float((shared["weight"] - truth).abs().max()) <= step / 2 * 1.001
    assert not shared["dead"].any()


def test_pruning_zeroes_the_smallest(update: SharedUpdate) -> None:
    by_tensor = on_update("prune:ratio=0.3")(update).gradients
    assert int((by_tensor["weight"] == 0).sum()) == 18000
    assert int((by_tensor["bias"] == 0).sum()) == 15
    kept = by_tensor["bias"] != 0
    truth = update.gradients["bias"]
    assert truth[kept].abs().min() >= truth[~kept].abs().max()
    together = on_update("prune:ratio=0.3,scope=all")(update).gradients
    assert int((together["bias"] == 0).sum()) == 50  # all of it is small beside the weight
    total = sum(int((tensor == 0).sum()) for tensor in together.values())
    assert total == int(0.3 * 60054)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("gausian", "unknown defence 'gausian'; did you mean 'gaussian'"),
        ("gaussian:sdt=1", "unknown option of gaussian 'sdt'; did you mean 'std'"),
        ("gaussian:std", "name:key=value"),
        ("gaussian:std=-1", "option of gaussian: std"),
        ("gaussian:std=much", "option of gaussian: std"),
        ("prune:ratio=1", "option of prune: ratio"),
        ("fp16:bits=3", "unknown option of fp16"),
        ("dpsgd:noise=-1", "option of dpsgd: noise"),
        ("withhold:last=1,part=encoder", "expected one of part, last and pattern"),
        ("fedavg:steps=0", "option of fedavg: steps"),
    ],
)
def test_what_is_written_wrong_is_told(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        parse_defence(text)


def test_top_k_keeps_the_largest_and_sends_the_rest_later(update: SharedUpdate) -> None:
    defence, memory = on_update("topk:ratio=0.1"), dict[str, torch.Tensor]()
    first = defence(update, memory=memory).gradients["weight"]
    truth = update.gradients["weight"]
    assert int((first != 0).sum()) == 6000
    assert torch.equal(first[first != 0], truth[first != 0])
    torch.testing.assert_close(first + memory["weight"], truth)
    second = defence(update, memory=memory).gradients["weight"]
    torch.testing.assert_close(first + second + memory["weight"], 2 * truth)
    assert not torch.equal(first != 0, second != 0)
    later = on_update("topk:ratio=0.1,earlier=1")(update).gradients["weight"]
    assert torch.equal(later, second)


def test_clipping_keeps_the_direction(update: SharedUpdate) -> None:
    shared = on_update("clip:norm=0.5")(update).gradients
    norm = torch.cat([g.flatten() for g in shared.values()]).norm()
    assert float(norm) == pytest.approx(0.5, rel=1e-5)
    ratio = shared["weight"] / update.gradients["weight"]
    torch.testing.assert_close(ratio, torch.full_like(ratio, float(ratio[0, 0])))
    untouched = on_update("clip:norm=1e6")(update).gradients
    assert torch.equal(untouched["weight"], update.gradients["weight"])


def test_a_training_defence_is_not_for_updates() -> None:
    with pytest.raises(ConfigError, match="dropout changes how the client trains"):
        on_update("dropout")
